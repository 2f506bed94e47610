"""All routes put together. They read state and never probe, save where the scheduler is asked."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.api import api_routes
from exporter.web.compression import Compression
from exporter.web.lifecycle import lifecycle_routes
from exporter.web.on_demand import OnDemand
from exporter.web.pages.routes import page_routes
from exporter.web.running import Running
from exporter.web.scraping import scraping_routes

_POLICY = (
    b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none';"
    b" frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def web_application(running: Running) -> Starlette:
    """Return the routes over a running program."""
    on_demand = OnDemand(running.probe_now)
    return Starlette(
        routes=[
            *page_routes(running),
            *api_routes(running, on_demand),
            *scraping_routes(running, on_demand),
            *lifecycle_routes(running),
        ],
        middleware=[Middleware(_SafeHeaders), Middleware(Compression)],
    )


class _SafeHeaders:
    """Puts headers on every answer that keep a browser from being used against us."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, sending)
