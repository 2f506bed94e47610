"""Requests that change something are refused when a page of another site makes a browser send them.

A browser says where a request comes from: in ``Origin`` with everything but plain reading, and in
``Sec-Fetch-Site`` where the connection is safe. Programs such as curl and Prometheus send neither
and pass. A page whose own name was made to point at us (DNS rebinding) has the origin that the
``Host`` header says. It has neither our certificate nor anybody's login; so where there is neither,
a browser may call us by an address, as ``localhost``, or by the external URL, and by no other name.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.access.external_url import DEFAULT_PORTS, ExternalUrl
from exporter.web.access.live_config import LiveConfig

_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({"same-origin", "none"})
_OWN_NAMES = frozenset({"localhost", "ip6-localhost"})


class SameSite:
    """Refuses what another site makes a browser send."""

    def __init__(self, app: ASGIApp, live: LiveConfig, external: ExternalUrl) -> None:
        """Guard ``app``, which people know by ``external``."""
        self._app = app
        self._live = live
        self._external = external

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have the request answered."""
        why = None if scope["method"] in _HARMLESS else await self._objection(scope)
        if why is None:
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse(f"{why}\n", 403)(scope, receive, send)

    async def _objection(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if site is not None and site not in _OWN_SITE:
            return "refused: a page of another site asks"
        if origin is None and site is None:
            return None
        if self._external.origin is not None and origin == self._external.origin:
            return None
        asked = _host_and_port(headers.get("host", ""), scope["scheme"])
        if origin is not None and _of_origin(origin, scope["scheme"]) != asked:
            return "refused: a page of another site asks"
        if asked is None or not (_cannot_be_rebound(asked[0]) or await self._only_friends()):
            return (
                "refused: a browser may only do this at the address in --web.external-url,"
                " at localhost, or at an IP address"
            )
        return None

    async def _only_friends(self) -> bool:
        rules = await self._live.current()
        return rules.tls is not None or bool(rules.config.users)


def _of_origin(origin: str, scheme: str) -> tuple[str, int] | None:
    """Return an origin's host and port, None for one that cannot be ours.

    Something in front of us may speak TLS where we do not; the other way round is a downgrade.
    """
    theirs, separator, rest = origin.partition("://")
    if not separator or (scheme == "https" and theirs != "https"):
        return None
    return _host_and_port(rest, theirs)


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
