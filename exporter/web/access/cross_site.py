"""Reject cross-site requests that change something (CSRF).

Browsers send the page's origin: in ``Origin`` with every request other than GET or HEAD, and in
``Sec-Fetch-Site`` over secure connections. Programs such as curl and Prometheus send neither, and
are allowed.

With DNS rebinding, an attacker's host name resolves to the exporter's address, so ``Origin`` and
``Host`` agree. TLS or a login prevents that. Without both, browsers may only use an IP address,
``localhost`` or the external URL.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.config.url_rules import DEFAULT_PORTS
from exporter.web.access.external_url import ExternalUrl
from exporter.web.access.live_config import LiveConfig

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({"same-origin", "none"})
_OWN_NAMES = frozenset({"localhost", "ip6-localhost"})


class SameSite:
    """Reject cross-site requests with 403."""

    def __init__(self, app: ASGIApp, live: LiveConfig, external: ExternalUrl) -> None:
        self._app = app
        self._live = live
        self._external = external

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        reason = None if scope["method"] in _SAFE_METHODS else await self._reason(scope)
        if reason is None:
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse(f"{reason}\n", 403)(scope, receive, send)

    async def _reason(self, scope: Scope) -> str | None:
        """Return why a request must be rejected, or None."""
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if site is not None and site not in _OWN_SITE:
            return "rejected: the request comes from a page of another site"
        if origin is None and site is None:
            return None
        if self._external.origin is not None and origin == self._external.origin:
            return None
        own = _host_and_port(headers.get("host", ""), scope["scheme"])
        if origin is not None and _of_origin(origin, scope["scheme"]) != own:
            return "rejected: the request comes from a page of another site"
        if own is None or not (_cannot_be_rebound(own[0]) or await self._has_tls_or_login()):
            return (
                "rejected: browsers may only do this at the address in --web.external-url,"
                " at localhost, or at an IP address"
            )
        return None

    async def _has_tls_or_login(self) -> bool:
        rules = await self._live.current()
        return rules.tls is not None or bool(rules.config.users)


def _of_origin(origin: str, scheme: str) -> tuple[str, int] | None:
    """Return an origin's host and port; None if it cannot be the exporter's own.

    An https origin may reach us over http, through a proxy that terminates TLS. The opposite would
    be a downgrade.
    """
    origin_scheme, separator, rest = origin.partition("://")
    if not separator or (scheme == "https" and origin_scheme != "https"):
        return None
    return _host_and_port(rest, origin_scheme)


def _host_and_port(text: str, scheme: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port or DEFAULT_PORTS[scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or parts.netloc != text or "@" in text:
        return None
    return parts.hostname, port


def _cannot_be_rebound(host: str) -> bool:
    if host in _OWN_NAMES:
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
