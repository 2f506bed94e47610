"""The routes below ``/api/v1``."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from importlib import resources
from itertools import islice
from operator import itemgetter

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router

from exporter.model import TargetKey
from exporter.probe.result_format import as_json
from exporter.state import TargetState
from exporter.web.api.envelope import bare_array, failure, success, success_with
from exporter.web.api.query import (
    ResponseFormat,
    ServerQuery,
    check_parameters,
    place,
    server_query,
)
from exporter.web.api.server_json import full_server_json, project_json, server_json
from exporter.web.api.service_discovery import target_group
from exporter.web.errors import RequestRefusedError
from exporter.web.exporter_view import ExporterView
from exporter.web.probe_requests import ProbeRequests
from exporter.web.target_lookup import of_another_shard, to_depth

# Looking at this many takes well under a millisecond.
_SERVERS_AT_ONCE = 200
_NOT_FOUND = 404
_UNAVAILABLE = 503


def api_routes(view: ExporterView, on_demand: ProbeRequests) -> list[BaseRoute]:
    """Return the routes of the API over a running program; its errors are JSON too."""
    routes = _Api(view, on_demand)
    server = "/servers/{project}/{server_id}"
    handlers = dict.fromkeys((RequestRefusedError, HTTPException), _refusal)
    api = Router(
        [
            Route("/openapi.yaml", routes.openapi),
            Route("/servers", routes.servers),
            Route(server, routes.server),
            Route(f"{server}/probe", routes.probe, methods=["POST"]),
        ],
        redirect_slashes=False,
        middleware=[Middleware(ExceptionMiddleware, handlers=handlers)],
    )
    return [Mount("/api/v1", api)]


class _Api:
    def __init__(self, view: ExporterView, on_demand: ProbeRequests) -> None:
        self._view = view
        self._on_demand = on_demand
        self._document = (resources.files("exporter.web.api") / "openapi.yaml").read_bytes()

    async def openapi(self, _request: Request) -> Response:
        return Response(self._document, media_type="application/yaml")

    async def servers(self, request: Request) -> Response:
        query = server_query(request.query_params)
        now = self._view.clock_time()
        if query.form is ResponseFormat.HTTP_SD:
            self._refuse_unless_complete()
        found = await _found(self._view.state, query, now)
        start = bisect_right(found, query.after, key=itemgetter(0))
        page = found[start:][: query.limit]
        if query.form is ResponseFormat.HTTP_SD:
            return bare_array(target_group(state.target) for _, state in page)
        fields = {
            "projects": [
                project_json(status)
                for status in self._view.projects()
                if not query.projects or status.name in query.projects
            ],
            "total": len(found),
            "next": page[-1][0] if page and page[-1] is not found[-1] else None,
        }
        return success_with(fields, "servers", (server_json(state, now) for _, state in page))

    async def server(self, request: Request) -> Response:
        check_parameters(request.query_params)
        state = self._known(request)
        fields = full_server_json(state, self._view.clock_time())
        return success_with(fields, "history", map(as_json, reversed(list(state.history))))

    async def probe(self, request: Request) -> Response:
        check_parameters(request.query_params, once=("depth",))
        target = to_depth(self._known(request).target, request.query_params.get("depth"))
        return success(as_json(await self._on_demand.probe(target, request.headers)))

    def _known(self, request: Request) -> TargetState:
        """Return the state of the server that a path names."""
        key = TargetKey(request.path_params["project"], request.path_params["server_id"])
        state = self._view.state.get(key)
        if state is None:
            for target in self._view.elsewhere():
                if target.key == key:
                    raise of_another_shard(self._view, target)
            raise RequestRefusedError(
                "no server with this id is configured in this project;"
                " GET /api/v1/servers lists those there are",
                _NOT_FOUND,
            )
        return state

    def _refuse_unless_complete(self) -> None:
        """Prometheus keeps the targets it has when it is refused, and drops what is not listed."""
        reason = self._view.not_ready() or self._view.incomplete()
        if reason is not None:
            raise RequestRefusedError(f"not ready: {reason}; ask again later", _UNAVAILABLE)


async def _found(
    states: Iterable[TargetState], query: ServerQuery, now: float
) -> list[tuple[str, TargetState]]:
    """Return the servers that are asked for with their places, in order."""
    found: list[tuple[str, TargetState]] = []
    remaining = iter(tuple(states))
    while batch := tuple(islice(remaining, _SERVERS_AT_ONCE)):
        await asyncio.sleep(0)
        found += sorted((place(one.target), one) for one in batch if query.wants(one, now))
    # Made of sorted runs, which takes a third of the time that a sort of all would hold the loop.
    found.sort()
    return found


async def _refusal(_request: Request, error: Exception) -> Response:
    """Answer what cannot be answered, a path or a method that there is not among it."""
    match error:
        case RequestRefusedError():
            return failure(str(error), error.status)
        case HTTPException():
            cure = "GET /api/v1/openapi.yaml describes every path and its methods"
            return failure(f"{error.detail}; {cure}", error.status_code, error.headers)
    raise error
