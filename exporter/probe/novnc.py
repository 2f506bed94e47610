"""Where a noVNC page opens its WebSocket: the settings in its address, read as noVNC does.

Up to version 1.5, and in ``vnc_lite.html``, ``host``, ``port``, ``encrypt`` and ``path`` replace
the parts of ``wss://host:port/path``, whose defaults are those of the page. Since version 1.6
``path`` is a URL relative to the page, and the others count only with ``host``. See ``app/ui.js``
and ``app/webutil.js`` of noVNC.
"""

import re
from enum import StrEnum, unique

from exporter.config.url_rules import DEFAULT_PORTS
from exporter.probe.address import AddressError, ConsoleAddress

_HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:/?#@\[\]]+)(?::(?P<port>[0-9]+))?")
_WEBSOCKET = re.compile(r"ws(?=s?://)", re.IGNORECASE)
_FALSE = frozenset({"0", "no", "false"})


@unique
class Way(StrEnum):
    """A way to resolve the WebSocket's path."""

    PAGE = "page"  # relative to the page
    ROOT = "root"  # at the root of the host
    DEFAULT_PORT = "default_port"  # as ROOT, at the default port instead of the page's


def ways(page: ConsoleAddress) -> tuple[Way, ...]:
    """Return the ways in which versions of noVNC resolve the path, the likeliest first.

    Raises `AddressError` when the page's settings name no valid host and port.
    """
    root = _root(page, Way.ROOT)
    if page.setting("host"):
        is_same = root.origin == _root(page, Way.DEFAULT_PORT).origin
        return (Way.ROOT,) if is_same else (Way.ROOT, Way.DEFAULT_PORT)
    return (Way.PAGE, Way.ROOT) if root.origin == page.origin else (Way.ROOT, Way.PAGE)


def websocket_address(page: ConsoleAddress, way: Way, path: str) -> ConsoleAddress:
    """Resolve a path and add the page's token; the scheme is http(s). Raises `AddressError`."""
    if way is Way.PAGE:
        found = _with_scheme(page.follow(_WEBSOCKET.sub("http", path, count=1)), page.scheme)
    else:
        root = _root(page, way)
        found = root.follow(f"/{path.lstrip('/')}")
        if found.origin != root.origin:
            raise AddressError("leads to another host")
    return found.with_token(page.setting("token"))


def _root(page: ConsoleAddress, way: Way) -> ConsoleAddress:
    """Return the root of the host that the page's settings name, if any, else of its own."""
    host = _HOST.fullmatch(page.setting("host") or page.bracketed_host)
    if host is None:
        raise AddressError("has an invalid setting: host")
    encrypt = page.setting("encrypt").lower()
    scheme = ("http" if encrypt in _FALSE else "https") if encrypt else page.scheme
    default = DEFAULT_PORTS[scheme] if way is Way.DEFAULT_PORT else page.port
    port = page.setting("port") or host["port"] or str(default)
    if not (port.isascii() and port.isdigit()):
        raise AddressError("has an invalid setting: port")
    return ConsoleAddress.parse(f"{scheme}://{host['name']}:{port}/")


def _with_scheme(address: ConsoleAddress, scheme: str) -> ConsoleAddress:
    if address.scheme == scheme:
        return address
    port = None if address.port == DEFAULT_PORTS[address.scheme] else address.port
    return ConsoleAddress.parse(str(address.url.copy_with(scheme=scheme, port=port)))
