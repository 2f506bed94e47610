"""Stage ``websocket``: open the console's WebSocket as its page does.

noVNC's pages read the token from their address, also set it as the cookie ``token``, and open
``websockify?token=…``, or what the settings in their address say (`exporter.probe.novnc`). Old
versions request the subprotocol ``binary``, new ones none; websockify accepts both and answers 400
to any other.
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
from exporter.http.errors import (
    HandshakeRefusedError,
    NoResponse,
    NoResponseError,
    no_response,
)
from exporter.http.transport import WireTransport
from exporter.http.websocket import WebSocket
from exporter.model import Target
from exporter.outcome import Outcome
from exporter.probe.address import AddressError, ConsoleAddress
from exporter.probe.novnc import Way, ways, websocket_address
from exporter.probe.page import Page
from exporter.probe.stage import StageFailedError

_DEFAULT_PATH = "websockify"
_BAD_REQUEST, _TOO_MANY = 400, 429
_CACHED_MAX = 1000
_UNREACHABLE = frozenset({NoResponse.DNS, NoResponse.CONNECT, NoResponse.TLS, NoResponse.FORBIDDEN})
_NAME = re.compile(r"\{(\w+)\}")


class _Attempt(NamedTuple):
    """One way to request the WebSocket: how the path is resolved, and the subprotocols."""

    way: Way
    subprotocols: tuple[str, ...]


class _Candidate(NamedTuple):
    """An address to try; ``shown`` replaces it in messages, because it holds secrets."""

    address: ConsoleAddress
    shown: str


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
        candidates = self._candidates(page.address, target)
        for attempt in _attempts(tuple(candidates.left), cached):
            candidate = candidates.left.get(attempt.way)
            if candidate is None:
                continue
            async with AsyncExitStack() as stack:
                try:
                    messages = await stack.enter_async_context(
                        self._transport.websocket(
                            candidate.address.url,
                            headers=_headers(page, candidate.address),
                            subprotocols=attempt.subprotocols,
                            deadline=deadline,
                        )
                    )
                except (HandshakeRefusedError, NoResponseError) as error:
                    candidates.failed(attempt.way, error)
                else:
                    self._cache(host, attempt)
                    protocol = messages.subprotocol or "none"
                    yield OpenWebSocket(messages, f"{candidate.shown}, subprotocol {protocol}")
                    return
        if candidates.status == _TOO_MANY and cached:
            self._cache(host, cached)
        raise candidates.failure()

    def _candidates(self, page: ConsoleAddress, target: Target) -> "_Candidates":
        path, is_own = self._path_of(page, target)
        found = _Candidates()
        try:
            possible = ways(page)
        except AddressError as error:
            found.rejections.append(f"the page's address {error}")
            return found
        for way in possible:
            if way is Way.PAGE and self._path != AUTO:
                # A configured path starts at the root.
                continue
            try:
                address = websocket_address(page, way, path)
            except AddressError as error:
                found.rejections.append(f"the page's own path {error}")
            else:
                shown = _shown(page, address, way, is_own=is_own)
                found.left[way] = _Candidate(address, shown)
        return found

    def _path_of(self, page: ConsoleAddress, target: Target) -> tuple[str, bool]:
        """Return the path, and whether it is the page's own, which may hold a secret."""
        if self._path == AUTO:
            own = page.setting("path")
            return own or _DEFAULT_PATH, bool(own)
        values = {
            "server_name": target.name,
            "server_id": target.key.server_id,
            "region": target.region,
        }
        return _NAME.sub(lambda found: quote(values[found[1]], safe=""), self._path), False

    def _cache(self, host: tuple[str | IPAddress, int], attempt: _Attempt) -> None:
        self._working_attempts[host] = attempt
        if len(self._working_attempts) > _CACHED_MAX:
            self._working_attempts.popitem(last=False)


class _Candidates:
    """The WebSocket's possible addresses that are left, and why the others failed."""

    def __init__(self) -> None:
        self.left: dict[Way, _Candidate] = {}
        self.rejections: list[str] = []
        self.status = 0
        # Not the exception, which would keep the frames alive that it passed.
        self._unreachable: tuple[NoResponse, str] | None = None

    def failed(self, way: Way, error: HandshakeRefusedError | NoResponseError) -> None:
        """Record a failed attempt; raises ``error`` when another would not help."""
        candidate = self.left[way]
        self.status = error.status
        if isinstance(error, NoResponseError) and error.reason in _UNREACHABLE:
            self._unreachable = self._unreachable or (error.reason, str(error))
            # Another way may lead to another host or port.
            origin = candidate.address.origin
            self.left = {k: v for k, v in self.left.items() if v.address.origin != origin}
            return
        self.rejections.append(f"{candidate.shown} {_rejection(error)}")
        if self.status == _TOO_MANY:
            # Another attempt would only exceed the rate limit again.
            self.left = {}
        elif self.status != _BAD_REQUEST:
            # Only a 400 is about the subprotocol.
            del self.left[way]

    def failure(self) -> StageFailedError | NoResponseError:
        """Return the error for a WebSocket that no attempt has opened."""
        if self._unreachable and not self.rejections:
            return no_response(*self._unreachable)
        if self._unreachable:
            self.rejections.append(self._unreachable[1])
        return StageFailedError(
            Outcome.THROTTLED if self.status == _TOO_MANY else Outcome.WEBSOCKET_REJECTED,
            f"no WebSocket: {'; '.join(dict.fromkeys(self.rejections))}",
        )


def _attempts(possible: tuple[Way, ...], cached: _Attempt | None) -> Iterator[_Attempt]:
    """Yield the attempts to make, the likeliest first."""
    if cached and cached.way in possible:
        yield cached
    for way in possible:
        for subprotocols in (("binary",), ()):
            attempt = _Attempt(way, subprotocols)
            if attempt != cached:
                yield attempt


def _shown(page: ConsoleAddress, address: ConsoleAddress, way: Way, *, is_own: bool) -> str:
    """Describe a WebSocket's address without its secrets."""
    is_elsewhere = address.origin != page.origin
    if not is_own:
        return address.place if is_elsewhere else address.path
    shown = "the page's own path" if way is Way.PAGE else "the page's own path at the root"
    return f"{shown} of {address.bracketed_host}:{address.port}" if is_elsewhere else shown


def _headers(page: Page, address: ConsoleAddress) -> dict[str, str]:
    # The page sets the cookie for its own host.
    token = page.address.setting("token") if address.host == page.address.host else ""
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
