"""The levers over HTTP, for a simulator that runs as a process of its own."""

import json

from aiohttp import web

from exporter.simulator.fault_file import parse_fault, parse_quota
from exporter.simulator.section import ScenarioError, each
from exporter.simulator.simulator import Simulator


class Control:
    """``/simulator/…``: no part of the cloud, and open to whoever reaches the address."""

    def __init__(self, simulator: Simulator) -> None:
        """Turn the levers of ``simulator``."""
        self._simulator = simulator

    def routes(self) -> list[web.RouteDef]:
        """Return the addresses of the levers."""
        return [
            web.get("/simulator/counts", self.counts),
            web.put("/simulator/quota/{project}", self.set_quota),
            web.put("/simulator/faults", self.set_faults),
            web.delete("/simulator/tokens/{project}", self.revoke_tokens),
        ]

    async def counts(self, _request: web.Request) -> web.Response:
        """Tell how many requests there were, by project, operation and status."""
        counts = self._simulator.counts
        return web.json_response(
            [
                {"project": project, "operation": operation, "status": status, "count": count}
                for (project, operation, status), count in sorted(counts.items())
            ]
        )

    async def set_quota(self, request: web.Request) -> web.Response:
        """Put the quota of the body in force, or none for ``null`` or an empty body."""
        try:
            document = _document(await request.read() or b"null")
            quota = None if document is None else parse_quota(document, "quota")
            self._simulator.set_quota(request.match_info["project"], quota)
        except ScenarioError as error:
            return web.Response(status=400, text=f"{error}\n")
        except KeyError:
            return web.Response(status=404, text="there is no such project\n")
        return web.Response(status=204)

    async def set_faults(self, request: web.Request) -> web.Response:
        """Put the faults of the body in force, and no others."""
        try:
            faults = each(parse_fault)(_document(await request.read()), "faults")
        except ScenarioError as error:
            return web.Response(status=400, text=f"{error}\n")
        self._simulator.set_faults(faults)
        return web.Response(status=204)

    async def revoke_tokens(self, request: web.Request) -> web.Response:
        """End all tokens of a project."""
        self._simulator.revoke_tokens(request.match_info["project"])
        return web.Response(status=204)


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ScenarioError("the body is no JSON") from None
