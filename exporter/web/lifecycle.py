"""Lifecycle routes: health, readiness, reload, and the configuration in use."""

import asyncio

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from exporter.web.exporter_view import ExporterView, ReloadRefusedError


def lifecycle_routes(view: ExporterView) -> list[BaseRoute]:
    """Return ``/config`` and the ``/-/`` routes of a running exporter."""
    routes = _Lifecycle(view)
    return [
        Route("/config", routes.config),
        Route("/-/healthy", routes.healthy),
        Route("/-/ready", routes.ready),
        Route("/-/reload", routes.reload, methods=["POST"]),
    ]


class _Lifecycle:
    def __init__(self, view: ExporterView) -> None:
        self._view = view
        self._rendering = asyncio.Lock()

    async def config(self, _request: Request) -> Response:
        # In a thread, because it takes a second for 50,000 servers.
        async with self._rendering:
            return PlainTextResponse(await asyncio.to_thread(self._view.config_yaml))

    async def healthy(self, _request: Request) -> Response:
        return PlainTextResponse("console-exporter is healthy\n")

    async def ready(self, _request: Request) -> Response:
        reason = self._view.not_ready()
        if reason is not None:
            return PlainTextResponse(f"not ready: {reason}\n", 503)
        return PlainTextResponse("console-exporter is ready\n")

    async def reload(self, _request: Request) -> Response:
        try:
            await self._view.reload()
        except ReloadRefusedError as error:
            return PlainTextResponse(f"{error}\n", 400)
        return PlainTextResponse("configuration reloaded\n")
