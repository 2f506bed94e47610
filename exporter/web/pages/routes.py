"""The status pages and what they are made of."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from exporter.web.pages.fleet_page import StatusPage
from exporter.web.running import Running

_STATIC = Path(__file__).parent / "static"


def page_routes(running: Running) -> list[BaseRoute]:
    """Return the pages over a running program."""
    routes = _Pages(running)
    return [Route("/", routes.fleet), Route("/static/status.css", routes.style)]


class _Pages:
    def __init__(self, running: Running) -> None:
        self._running = running
        self._page = StatusPage(running.version)
        self._style = (_STATIC / "status.css").read_bytes()

    async def fleet(self, _request: Request) -> Response:
        html = self._page.render(self._running.state, self._running.clock_time())
        return Response(html, media_type="text/html")

    async def style(self, _request: Request) -> Response:
        return Response(
            self._style, media_type="text/css", headers={"cache-control": "max-age=3600"}
        )
