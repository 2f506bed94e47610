"""The external URL (``--web.external-url``) and the prefix of all routes."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.config.url_rules import DEFAULT_PORTS, is_host

_PATH_MAX = 256


class ExternalUrlError(Exception):
    """A flag is invalid; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class ExternalUrl:
    """The origin that browsers use, and the prefix of all routes.

    ``origin`` is written as browsers do, without a default port; None if it is not known.
    ``prefix`` is empty, or starts with a slash and ends without one.
    """

    origin: str | None = None
    prefix: str = ""

    @classmethod
    def of_flags(cls, external_url: str | None, route_prefix: str | None) -> "ExternalUrl":
        """Parse ``--web.external-url`` and ``--web.route-prefix``.

        The prefix defaults to the path of the external URL. Raises `ExternalUrlError`.
        """
        origin, path = _split(external_url) if external_url else (None, "")
        return cls(origin, _prefix(path if route_prefix is None else route_prefix))


DIRECT = ExternalUrl()
"""No external URL and no prefix."""


def _split(text: str) -> tuple[str, str]:
    expected = f"--web.external-url {text!r}: expected a URL such as https://host/path"
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
    is_default = port in {None, DEFAULT_PORTS[parts.scheme]}
    return f"{parts.scheme}://{shown}" + ("" if is_default else f":{port}"), parts.path


def _prefix(text: str) -> str:
    path = "/".join(part for part in text.split("/") if part)
    has_dots = any(part in {".", ".."} for part in path.split("/"))
    if has_dots or not path.isprintable() or len(path) > _PATH_MAX or set(path) & set("?#%\\"):
        raise ExternalUrlError(
            f"--web.route-prefix {text!r}: expected a path such as /console-exporter"
        )
    return f"/{path}" if path else ""


class Prefixed:
    """Serve an application under a prefix; redirect ``/`` to it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, redirect, or answer 404."""
        path = scope["path"]
        if not self._prefix or path.startswith(f"{self._prefix}/"):
            await self._app({**scope, "root_path": self._prefix}, receive, send)
        elif path in {"/", self._prefix}:
            # The pages' relative links need the trailing slash.
            redirect = RedirectResponse(f"{quote(self._prefix)}/", 302)
            await redirect(scope, receive, send)
        else:
            text = f"not found; all paths start with {self._prefix}/\n"
            await PlainTextResponse(text, 404)(scope, receive, send)
