"""Routes of the status pages, their updates and their static files."""

import json
from zlib import crc32

from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Route

from exporter.model import ProbeResult, TargetKey
from exporter.state import TargetState
from exporter.web.errors import RequestRefusedError
from exporter.web.exporter_view import ExporterView
from exporter.web.pages.assets import StaticFiles, templates
from exporter.web.pages.fleet_cells import FleetCells
from exporter.web.pages.fleet_page import Filter, FleetPage, project_texts_json
from exporter.web.pages.server_page import ServerPage
from exporter.web.probe_requests import ProbeRequests

_NOT_FOUND = 404
_NOT_MODIFIED = 304
# Browsers must revalidate, so that they never show an old page as current.
_NO_CACHE = {"cache-control": "no-cache"}


def page_routes(view: ExporterView, on_demand: ProbeRequests) -> list[BaseRoute]:
    """Return the page routes of a running exporter."""
    files = StaticFiles()
    routes = _Pages(view, on_demand, files)
    return [
        Route("/", routes.fleet),
        Route("/fleet/changes", routes.changes),
        Route("/servers/{project}/{server_id}", routes.server, methods=["GET", "POST"]),
        Route("/static/{name}", files.file),
        Route("/favicon.ico", files.icon),
    ]


class _Pages:
    def __init__(self, view: ExporterView, on_demand: ProbeRequests, files: StaticFiles) -> None:
        self._view = view
        self._on_demand = on_demand
        self._cells = FleetCells(view.clock_time)
        view.state.listen(self._cells)
        environment = templates(files, view.version)
        self._fleet = FleetPage(self._cells, environment)
        self._server = ServerPage(environment)
        self._unknown = environment.get_template("unknown.html")

    async def fleet(self, request: Request) -> Response:
        try:
            wanted = Filter.of(request.query_params)
        except RequestRefusedError as error:
            return PlainTextResponse(f"{error}\n", error.status)
        await self._cells.refresh_stale()
        pieces = self._fleet.pieces(self._view.projects(), wanted, self._view.clock_time())
        return StreamingResponse(pieces, media_type="text/html", headers=_NO_CACHE)

    async def changes(self, request: Request) -> Response:
        await self._cells.refresh_stale()
        now = self._view.clock_time()
        changes = self._cells.changes_since(request.query_params.get("since", ""))
        texts = project_texts_json(self._view.projects(), self._cells, now)
        digest = f"{crc32(repr(texts).encode(errors='replace')):08x}"
        # ASCII, because lone surrogates cannot be encoded as UTF-8.
        body = json.dumps(
            {
                "now": now,
                "revision": changes.revision,
                "reset": changes.reset,
                "more": changes.more,
                "gone": changes.gone,
                "cells": [cell._asdict() for cell in changes.cells],
                "words": digest,
                "projects": [] if request.query_params.get("words") == digest else texts,
            }
        )
        return Response(body, media_type="application/json", headers=_NO_CACHE)

    async def server(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._probe(request)
        await self._cells.refresh_stale()
        state = self._state_of(request)
        if state is None:
            return self._not_found(request)
        tag = f'"{self._cells.version(state.target)}"'
        if request.headers.get("if-none-match") == tag:
            return Response(
                status_code=_NOT_MODIFIED, headers={**_NO_CACHE, "etag": tag, **self._now()}
            )
        return self._page(state, None, tag)

    async def _probe(self, request: Request) -> Response:
        state = self._state_of(request)
        if state is None:
            return self._not_found(request)
        result: ProbeResult | str
        status = 200
        try:
            result = await self._on_demand.probe(state.target, request.headers)
        except RequestRefusedError as error:
            result, status = str(error), error.status
        # The server may have been removed during the probe.
        state = self._state_of(request)
        if state is None:
            return self._not_found(request)
        return self._page(state, result, f'"{self._cells.version(state.target)}"', status)

    def _state_of(self, request: Request) -> TargetState | None:
        parameters = request.path_params
        key = TargetKey(parameters["project"], parameters["server_id"])
        return self._view.state.get(key)

    def _page(
        self, state: TargetState, on_demand: ProbeResult | str | None, tag: str, status: int = 200
    ) -> Response:
        html = self._server.render(state, self._view.clock_time(), tag, on_demand)
        text = html.encode(errors="replace")
        return HTMLResponse(text, status, headers={**_NO_CACHE, "etag": tag, **self._now()})

    def _not_found(self, request: Request) -> Response:
        html = self._unknown.render(root="../../", key=request.path_params)
        return HTMLResponse(html.encode(errors="replace"), _NOT_FOUND)

    def _now(self) -> dict[str, str]:
        """Return the header with the exporter's time, from which the page's script counts ages."""
        return {"console-exporter-time": f"{self._view.clock_time():.3f}"}
