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
    position,
    server_query,
)
from exporter.web.api.server_json import full_server_json, project_json, server_json
from exporter.web.api.service_discovery import target_group
from exporter.web.errors import RequestRefusedError
from exporter.web.exporter_view import ExporterView
from exporter.web.probe_requests import ProbeRequests
from exporter.web.target_lookup import with_depth, wrong_shard_error

# Filtering this many takes well under a millisecond.
_SERVERS_AT_ONCE = 200
_NOT_FOUND = 404
_UNAVAILABLE = 503


def api_routes(view: ExporterView, on_demand: ProbeRequests) -> list[BaseRoute]:
    """Return the API routes of a running exporter; errors are JSON too."""
    routes = _Api(view, on_demand)
    server = "/servers/{project}/{server_id}"
    handlers = dict.fromkeys((RequestRefusedError, HTTPException), _error_response)
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
        if query.response_format is ResponseFormat.HTTP_SD:
            self._require_complete_list()
        found = await _matching(self._view.state, query, now)
        start = bisect_right(found, query.after, key=itemgetter(0))
        page = found[start:][: query.limit]
        if query.response_format is ResponseFormat.HTTP_SD:
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
        state = self._state(request)
        fields = full_server_json(state, self._view.clock_time())
        return success_with(fields, "history", map(as_json, reversed(list(state.history))))

    async def probe(self, request: Request) -> Response:
        check_parameters(request.query_params, single=("depth",))
        target = with_depth(self._state(request).target, request.query_params.get("depth"))
        return success(as_json(await self._on_demand.probe(target, request.headers)))

    def _state(self, request: Request) -> TargetState:
        """Return the state of the server in the path. Raises `RequestRefusedError`."""
        key = TargetKey(request.path_params["project"], request.path_params["server_id"])
        state = self._view.state.get(key)
        if state is None:
            for target in self._view.elsewhere():
                if target.key == key:
                    raise wrong_shard_error(self._view, target)
            raise RequestRefusedError(
                "no server with this id is configured in this project;"
                " GET /api/v1/servers lists all servers",
                _NOT_FOUND,
            )
        return state

    def _require_complete_list(self) -> None:
        """Raise `RequestRefusedError` while the list of servers may be incomplete.

        On an error Prometheus keeps its targets; it would drop those missing from a partial list.
        """
        reason = self._view.not_ready() or self._view.incomplete()
        if reason is not None:
            raise RequestRefusedError(f"not ready: {reason}; try again later", _UNAVAILABLE)


async def _matching(
    states: Iterable[TargetState], query: ServerQuery, now: float
) -> list[tuple[str, TargetState]]:
    """Return the matching servers with their positions, in order."""
    found: list[tuple[str, TargetState]] = []
    remaining = iter(tuple(states))
    while batch := tuple(islice(remaining, _SERVERS_AT_ONCE)):
        await asyncio.sleep(0)
        found += sorted((position(one.target), one) for one in batch if query.matches(one, now))
    # The batches are sorted runs, so this blocks the loop for a third of the time of a full sort.
    found.sort()
    return found


async def _error_response(_request: Request, error: Exception) -> Response:
    """Return the JSON response for a rejected request or an unknown path or method."""
    match error:
        case RequestRefusedError():
            return failure(str(error), error.status)
        case HTTPException():
            hint = "GET /api/v1/openapi.yaml describes every path and its methods"
            return failure(f"{error.detail}; {hint}", error.status_code, error.headers)
    raise error
