"""Combine all access checks around the web application."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.clock import Clock
from exporter.web.access.authentication import BasicAuthentication
from exporter.web.access.credentials import Verifier
from exporter.web.access.cross_site import SameSite
from exporter.web.access.external_url import ExternalUrl, Prefixed
from exporter.web.access.live_config import LiveConfig
from exporter.web.access.password_checks import PasswordChecks

HEALTH_PATHS = ("/-/healthy", "/-/ready")


def guarded(
    app: ASGIApp,
    live: LiveConfig,
    external: ExternalUrl,
    clock: Clock,
    open_paths: tuple[str, ...] = (),
) -> ASGIApp:
    """Return ``app`` behind authentication, cross-site checks and the configured headers.

    ``open_paths`` need no login; they are paths of ``app``, without the prefix.
    """
    opened = frozenset(external.prefix + path for path in open_paths)
    verifier = Verifier(PasswordChecks())
    app = Prefixed(app, external.prefix)
    app = BasicAuthentication(app, live, verifier, opened, clock.monotonic)
    app = SameSite(app, live, external)
    return _Headers(app, live)


class _Headers:
    """Set the web configuration's headers on every response; they replace headers of that name."""

    def __init__(self, app: ASGIApp, live: LiveConfig) -> None:
        self._app = app
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = (await self._live.current()).config.headers
        if not headers:
            await self._app(scope, receive, send)
            return
        configured = [(name.lower().encode(), value.encode()) for name, value in headers]
        names = {name for name, _ in configured}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [one for one in message.get("headers", ()) if one[0].lower() not in names]
                message["headers"] = [*others, *configured]
            await send(message)

        await self._app(scope, receive, send_with_headers)
