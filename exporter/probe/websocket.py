"""Stage ``websocket``: open the console's WebSocket as its page would.

noVNC's pages take the token from their address, put it into a cookie ``token`` as well, and open
``websockify?token=…``: old ones (up to 0.6) at the root of the host, later ones relative to the
page. A parameter ``path`` of the page names another path. Old ones ask for the subprotocol
``binary``, new ones for none; websockify accepts either and answers others with 400.
"""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from exporter.config.config import AUTO
from exporter.config.host_pattern import IPAddress
from exporter.http.deadline import Deadline
from exporter.http.errors import HandshakeRefusedError, NoResponse, NoResponseError
from exporter.http.request import wire_url
from exporter.http.transport import USER_AGENT, Transport
from exporter.http.websocket_close import WebSocket
from exporter.model import Target
from exporter.outcome import Outcome
from exporter.probe.address import AddressError, ConsoleAddress
from exporter.probe.page import Page
from exporter.probe.stage import StageFailedError

_DEFAULT_PATH = "websockify"
_BAD_REQUEST, _TOO_MANY = 400, 429
_KNOWN_MAX = 1000
_NAME = re.compile(r"\{(\w+)\}")


class _Way(NamedTuple):
    """How to ask for the WebSocket: which of the paths that a page may mean, and subprotocols."""

    path: int
    subprotocols: tuple[str, ...]


class _Path(NamedTuple):
    """A path to ask for; ``shown`` stands for it where it may not be told."""

    text: str
    shown: str = ""


@dataclass(frozen=True, slots=True)
class OpenWebSocket:
    """An open WebSocket; ``note`` says for people how it was opened."""

    messages: WebSocket
    note: str


class WebSocketConnector:
    """Opens the WebSockets of one project's consoles, and remembers for each host what worked."""

    def __init__(self, transport: Transport, path: str) -> None:
        """Open them at ``path``: `AUTO` or a template."""
        self._transport = transport
        self._path = path
        self._known_ways: OrderedDict[tuple[str | IPAddress, int], _Way] = OrderedDict()

    @asynccontextmanager
    async def open(
        self, page: Page, target: Target, deadline: Deadline
    ) -> AsyncIterator[OpenWebSocket]:
        """Open the WebSocket of a page for as long as the block lasts.

        Raises `StageFailedError` when every way in is refused, `NoResponseError` when the gateway
        cannot be reached, or not in time.
        """
        host = (page.address.host, page.address.port)
        known = self._known_ways.pop(host, None)
        paths = self._paths(page.address, target)
        refusals: list[str] = []
        given_up: int | None = None
        status = 0
        for way in _ways(len(paths), known):
            if way.path == given_up:
                continue
            path = paths[way.path]
            try:
                address = page.address.at(path.text, page.address.query("token"))
            except AddressError as error:
                refusals.append(f"the page's own path {error}")
                continue
            shown = path.shown or address.path
            async with AsyncExitStack() as stack:
                try:
                    with deadline.spending():
                        messages = await stack.enter_async_context(
                            self._transport.websocket(
                                wire_url(address.url),
                                headers=_headers(page, address),
                                subprotocols=way.subprotocols,
                                timeout=deadline.left,
                            )
                        )
                except (HandshakeRefusedError, NoResponseError) as error:
                    refusals.append(f"{shown} {_refusal(error)}")
                    status = error.status
                else:
                    self._remember(host, way)
                    protocol = messages.protocol or "none"
                    yield OpenWebSocket(messages, f"{shown}, subprotocol {protocol}")
                    return
            if status == _TOO_MANY:
                # Another way would be once more too often, and its answer would say nothing.
                if known:
                    self._remember(host, known)
                break
            if status != _BAD_REQUEST:
                # It is not the subprotocol that was wrong.
                given_up = way.path
        raise StageFailedError(
            Outcome.THROTTLED if status == _TOO_MANY else Outcome.WEBSOCKET_REJECTED,
            f"no WebSocket: {'; '.join(dict.fromkeys(refusals))}",
        )

    def _paths(self, page: ConsoleAddress, target: Target) -> tuple[_Path, ...]:
        if self._path == AUTO:
            own = page.query("path")
            path = own or _DEFAULT_PATH
            # What a page's query says may be a token, and is not shown.
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

    def _remember(self, host: tuple[str | IPAddress, int], way: _Way) -> None:
        self._known_ways[host] = way
        if len(self._known_ways) > _KNOWN_MAX:
            self._known_ways.popitem(last=False)


def _ways(paths: int, known: _Way | None) -> Iterator[_Way]:
    """Yield the ways to try, the likeliest first."""
    if known:
        yield known
    for path in range(paths):
        for subprotocols in (("binary",), ()):
            way = _Way(path, subprotocols)
            if way != known:
                yield way


def _headers(page: Page, address: ConsoleAddress) -> dict[str, str]:
    token = page.address.query("token")
    cookies = page.cookies.header(address.url)
    if token:
        own = f"token={quote(token, safe='')}"
        cookies = f"{own}; {cookies}" if cookies else own
    headers = {"origin": page.address.origin, "user-agent": USER_AGENT}
    return headers | ({"cookie": cookies} if cookies else {})


def _refusal(error: HandshakeRefusedError | NoResponseError) -> str:
    """Return what a refusal said; raises what is none: there was no way to the gateway at all."""
    if isinstance(error, HandshakeRefusedError):
        return str(error)
    if error.reason is NoResponse.CLOSED:
        return "ended the connection without an answer"
    raise error
