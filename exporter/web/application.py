"""The web application: all routes with their middleware.

Routes only read state. A probe on demand is made by the scheduler.
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.api import api_routes
from exporter.web.compression import Compression
from exporter.web.exporter_view import ExporterView
from exporter.web.lifecycle import lifecycle_routes
from exporter.web.pages.routes import page_routes
from exporter.web.probe_requests import ProbeRequests
from exporter.web.scraping import scraping_routes

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    b" form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_BODY_BYTES_MAX = 1024 * 1024
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    # Not no-referrer: a browser would then send "Origin: null" with our own forms.
    (b"referrer-policy", b"same-origin"),
)


def web_application(view: ExporterView) -> Starlette:
    """Return the web application of a running exporter."""
    on_demand = ProbeRequests(view.probe_now)
    return Starlette(
        routes=[
            *page_routes(view, on_demand),
            *api_routes(view, on_demand),
            *scraping_routes(view, on_demand),
            *lifecycle_routes(view),
        ],
        middleware=[Middleware(_SecurityHeaders), Middleware(Compression)],
        max_body_size=_BODY_BYTES_MAX,
    )


class _SecurityHeaders:
    """Add security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)
