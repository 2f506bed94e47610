"""Where people find the exporter, and the prefix that its own routes have."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.config.url_rules import is_host

_PATH_MAX = 256
DEFAULT_PORTS = {"http": 80, "https": 443}


class ExternalUrlError(Exception):
    """A flag cannot be understood; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class ExternalUrl:
    """What browsers call us, and what our routes begin with.

    ``origin`` is as browsers write it, without a default port; None when it is not known.
    ``prefix`` is empty, or begins with a slash and ends without one.
    """

    origin: str | None = None
    prefix: str = ""

    @classmethod
    def of_flags(cls, external_url: str | None, route_prefix: str | None) -> "ExternalUrl":
        """Read the two flags; the prefix is the external URL's path unless it is given.

        Raises `ExternalUrlError`.
        """
        origin, path = _split(external_url) if external_url else (None, "")
        return cls(origin, _prefix(path if route_prefix is None else route_prefix))


DIRECT = ExternalUrl()
"""Reached by whatever address, with nothing in front."""


def _split(text: str) -> tuple[str, str]:
    expected = f"--web.external-url {text!r}: expected an address such as https://host/path"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ExternalUrlError(expected) from None
    host = parts.hostname or ""
    if parts.scheme not in DEFAULT_PORTS or not is_host(host):
        raise ExternalUrlError(expected)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ExternalUrlError(f"{expected}, without user name, query and fragment")
    shown = f"[{host}]" if ":" in host else host
    known = port in {None, DEFAULT_PORTS[parts.scheme]}
    return f"{parts.scheme}://{shown}" + ("" if known else f":{port}"), parts.path


def _prefix(text: str) -> str:
    path = "/".join(part for part in text.split("/") if part)
    strange = any(part in {".", ".."} for part in path.split("/"))
    if strange or not path.isprintable() or len(path) > _PATH_MAX or set(path) & set("?#%\\"):
        raise ExternalUrlError(
            f"--web.route-prefix {text!r}: expected a path such as /console-exporter"
        )
    return f"/{path}" if path else ""


class Prefixed:
    """Serves an application under a prefix, and sends who asks at the root there."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        """Serve ``app`` under ``prefix``."""
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have the request answered."""
        path = scope["path"]
        if not self._prefix or path.startswith(f"{self._prefix}/"):
            await self._app({**scope, "root_path": self._prefix}, receive, send)
        elif path in {"/", self._prefix}:
            # Pages lead on by relative links, which need the slash at the end.
            there = RedirectResponse(f"{quote(self._prefix)}/", 302)
            await there(scope, receive, send)
        else:
            what = f"not found; everything is under {self._prefix}/\n"
            await PlainTextResponse(what, 404)(scope, receive, send)
