"""Control a simulator over HTTP when it runs in another process."""

import json

from aiohttp import web

from exporter.simulator.fault_file import parse_fault, parse_quota
from exporter.simulator.section import ScenarioError, list_of
from exporter.simulator.simulator import Simulator


class Control:
    """HTTP handlers of ``/simulator/…``: not part of the cloud, no authentication."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the control API."""
        return [
            web.get("/simulator/counts", self.counts),
            web.put("/simulator/quota/{project}", self.set_quota),
            web.put("/simulator/faults", self.set_faults),
            web.delete("/simulator/tokens/{project}", self.revoke_tokens),
        ]

    async def counts(self, _request: web.Request) -> web.Response:
        """Return the number of requests by project, operation and status."""
        counts = self._simulator.counts
        return web.json_response(
            [
                {"project": project, "operation": operation, "status": status, "count": count}
                for (project, operation, status), count in sorted(counts.items())
            ]
        )

    async def set_quota(self, request: web.Request) -> web.Response:
        """Set the quota of a project; ``null`` or an empty body removes it."""
        try:
            document = _document(await request.read() or b"null")
            quota = None if document is None else parse_quota(document, "quota")
            self._simulator.set_quota(request.match_info["project"], quota)
        except ScenarioError as error:
            return web.Response(status=400, text=f"{error}\n")
        except KeyError:
            return web.Response(status=404, text="unknown project\n")
        return web.Response(status=204)

    async def set_faults(self, request: web.Request) -> web.Response:
        """Replace all faults by those of the body."""
        try:
            faults = list_of(parse_fault)(_document(await request.read()), "faults")
        except ScenarioError as error:
            return web.Response(status=400, text=f"{error}\n")
        self._simulator.set_faults(faults)
        return web.Response(status=204)

    async def revoke_tokens(self, request: web.Request) -> web.Response:
        """Revoke all tokens of a project."""
        self._simulator.revoke_tokens(request.match_info["project"])
        return web.Response(status=204)


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ScenarioError("the body is not valid JSON") from None
