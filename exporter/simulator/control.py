"""Control a simulator over HTTP when it runs in another process."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.simulator.scenario import Fault, QuotaSpec
from exporter.simulator.section import ScenarioError, parse
from exporter.simulator.simulator import Simulator


class Control:
    """HTTP handlers of ``/simulator/…``: not part of the cloud, no authentication."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the control API."""
        return [
            Route("/simulator/counts", self.counts),
            Route("/simulator/quota/{project}", self.set_quota, methods=["PUT"]),
            Route("/simulator/faults", self.set_faults, methods=["PUT"]),
            Route("/simulator/tokens/{project}", self.revoke_tokens, methods=["DELETE"]),
        ]

    async def counts(self, _request: Request) -> Response:
        """Return the number of requests by project, operation and status."""
        counts = self._simulator.counts
        return JSONResponse(
            [
                {"project": project, "operation": operation, "status": status, "count": count}
                for (project, operation, status), count in sorted(counts.items())
            ]
        )

    async def set_quota(self, request: Request) -> Response:
        """Set the quota of a project; ``null`` or an empty body removes it."""
        try:
            document = _document(await request.body() or b"null")
            quota = None if document is None else parse(QuotaSpec, document, "quota")
            self._simulator.set_quota(request.path_params["project"], quota)
        except ScenarioError as error:
            return PlainTextResponse(f"{error}\n", 400)
        except KeyError:
            return PlainTextResponse("unknown project\n", 404)
        return Response(status_code=204)

    async def set_faults(self, request: Request) -> Response:
        """Replace all faults by those of the body."""
        try:
            faults = parse(tuple[Fault, ...], _document(await request.body()), "faults")
        except ScenarioError as error:
            return PlainTextResponse(f"{error}\n", 400)
        self._simulator.set_faults(faults)
        return Response(status_code=204)

    async def revoke_tokens(self, request: Request) -> Response:
        """Revoke all tokens of a project."""
        self._simulator.revoke_tokens(request.path_params["project"])
        return Response(status_code=204)


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ScenarioError("the body is not valid JSON") from None
