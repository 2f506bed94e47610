"""Stage ``websocket``: open the console's WebSocket as its page does.

noVNC's pages read the token from their address, also set it as the cookie ``token``, and open
``websockify?token=…``: versions up to 0.6 at the root of the host, later ones relative to the
page. The page's query parameter ``path`` names another path. Old versions request the subprotocol
``binary``, new ones none; websockify accepts both and answers 400 to any other.
"""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from exporter.config.host_pattern import IPAddress
from exporter.config.value_checks import AUTO
from exporter.http.deadline import Deadline
from exporter.http.errors import HandshakeRefusedError, NoResponse, NoResponseError
from exporter.http.transport import WireTransport
from exporter.http.websocket import WebSocket
from exporter.model import Target
from exporter.outcome import Outcome
from exporter.probe.address import AddressError, ConsoleAddress
from exporter.probe.page import Page
from exporter.probe.stage import StageFailedError

_DEFAULT_PATH = "websockify"
_BAD_REQUEST, _TOO_MANY = 400, 429
_CACHED_MAX = 1000
_NAME = re.compile(r"\{(\w+)\}")


class _Attempt(NamedTuple):
    """One way to request the WebSocket: the index of a candidate path, and the subprotocols."""

    path: int
    subprotocols: tuple[str, ...]


class _Path(NamedTuple):
    """A candidate path; ``shown`` replaces it in messages when it may hold a secret."""

    text: str
    shown: str = ""


@dataclass(frozen=True, slots=True)
class OpenWebSocket:
    """An open WebSocket; ``note`` tells people its path and subprotocol."""

    messages: WebSocket
    note: str


class WebSocketConnector:
    """Opens the WebSockets of one project's consoles, and caches per host which attempt worked.

    ``path`` is `AUTO` or a template.
    """

    def __init__(self, transport: WireTransport, path: str) -> None:
        self._transport = transport
        self._path = path
        self._working_attempts: OrderedDict[tuple[str | IPAddress, int], _Attempt] = OrderedDict()

    @asynccontextmanager
    async def open(
        self, page: Page, target: Target, deadline: Deadline
    ) -> AsyncIterator[OpenWebSocket]:
        """Open the WebSocket of a page, closed when the context exits.

        Raises `StageFailedError` when every attempt is rejected, `NoResponseError` when the
        gateway is unreachable or the deadline passes.
        """
        host = (page.address.host, page.address.port)
        cached = self._working_attempts.pop(host, None)
        paths = self._paths(page.address, target)
        rejections: list[str] = []
        rejected_path: int | None = None
        status = 0
        for attempt in _attempts(len(paths), cached):
            if attempt.path == rejected_path:
                continue
            path = paths[attempt.path]
            try:
                address = page.address.at(path.text, page.address.query("token"))
            except AddressError as error:
                rejections.append(f"the page's own path {error}")
                continue
            shown = path.shown or address.path
            async with AsyncExitStack() as stack:
                try:
                    messages = await stack.enter_async_context(
                        self._transport.websocket(
                            address.url,
                            headers=_headers(page, address),
                            subprotocols=attempt.subprotocols,
                            deadline=deadline,
                        )
                    )
                except (HandshakeRefusedError, NoResponseError) as error:
                    rejections.append(f"{shown} {_rejection(error)}")
                    status = error.status
                else:
                    self._cache(host, attempt)
                    protocol = messages.subprotocol or "none"
                    yield OpenWebSocket(messages, f"{shown}, subprotocol {protocol}")
                    return
            if status == _TOO_MANY:
                # Another attempt would only exceed the rate limit again.
                if cached:
                    self._cache(host, cached)
                break
            if status != _BAD_REQUEST:
                # Only a 400 is about the subprotocol: skip the other attempts with this path.
                rejected_path = attempt.path
        raise StageFailedError(
            Outcome.THROTTLED if status == _TOO_MANY else Outcome.WEBSOCKET_REJECTED,
            f"no WebSocket: {'; '.join(dict.fromkeys(rejections))}",
        )

    def _paths(self, page: ConsoleAddress, target: Target) -> tuple[_Path, ...]:
        if self._path == AUTO:
            own = page.query("path")
            path = own or _DEFAULT_PATH
            # A path from the page's query may hold a token and is not shown.
            return (
                _Path(path, "the page's own path" if own else ""),
                _Path(f"/{path.lstrip('/')}", "the page's own path at the root" if own else ""),
            )
        values = {
            "server_name": target.name,
            "server_id": target.key.server_id,
            "region": target.region,
        }
        return (_Path(_NAME.sub(lambda found: quote(values[found[1]], safe=""), self._path)),)

    def _cache(self, host: tuple[str | IPAddress, int], attempt: _Attempt) -> None:
        self._working_attempts[host] = attempt
        if len(self._working_attempts) > _CACHED_MAX:
            self._working_attempts.popitem(last=False)


def _attempts(paths: int, cached: _Attempt | None) -> Iterator[_Attempt]:
    """Yield the attempts to make, the likeliest first."""
    if cached:
        yield cached
    for path in range(paths):
        for subprotocols in (("binary",), ()):
            attempt = _Attempt(path, subprotocols)
            if attempt != cached:
                yield attempt


def _headers(page: Page, address: ConsoleAddress) -> dict[str, str]:
    token = page.address.query("token")
    cookies = page.cookies.header(address.url)
    if token:
        own = f"token={quote(token, safe='')}"
        cookies = f"{own}; {cookies}" if cookies else own
    headers = {"origin": page.address.origin}
    return headers | ({"cookie": cookies} if cookies else {})


def _rejection(error: HandshakeRefusedError | NoResponseError) -> str:
    """Describe a rejected handshake; raises ``error`` when the gateway was not reached at all."""
    if isinstance(error, HandshakeRefusedError):
        return str(error)
    if error.reason is NoResponse.CLOSED:
        return "closed the connection without a response"
    raise error
