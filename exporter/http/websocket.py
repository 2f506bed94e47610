"""A WebSocket over a connection of libcurl's; the protocol is that of the `websockets` library.

Pings stay without their pong.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pycurl
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from exporter.http.errors import HandshakeRefusedError, NoResponse, no_response

SWITCHING_PROTOCOLS = 101
# The bytes of one read are parsed at once: small frames take 10 us each.
_READ_BYTES = 1024
_HEAD_MAX_BYTES = 64 * 1024
_MESSAGE_MAX_BYTES = 64 * 1024
# The other side gets this long, and this many reads, to close.
_CLOSE_SECONDS = 0.5
_CLOSE_READS = 100
_CLOSE_FRAME = 0x88
_NORMAL_CLOSURE = 1000
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_Add = Callable[..., Any]
_Remove = Callable[[int], Any]
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


@dataclass(frozen=True, slots=True)
class Ended:
    """How a WebSocket ended: by a close frame, by a violation of the protocol, or by neither.

    ``code`` is that of the close frame, None if it has none; for a violation it says of what kind.
    """

    code: int | None = None
    has_close_frame: bool = False
    is_violation: bool = False


class WebSocket:
    """An open WebSocket."""

    def __init__(self, stream: "_Stream", protocol: ClientProtocol, frames: list[Frame]) -> None:
        self._stream = stream
        self._protocol = protocol
        self._frames = deque(frames)

    @property
    def subprotocol(self) -> str:
        """Return the subprotocol that the server chose; empty for none."""
        return self._protocol.subprotocol or ""

    async def receive(self) -> bytes | Ended:
        """Return the data of the next frame, empty for a ping or pong, or how it all ended."""
        while not self._frames:
            if self._protocol.parser_exc is not None:
                return self._violation()
            try:
                data = await self._stream.read()
            except pycurl.error:
                return Ended()
            if not data:
                return Ended()
            self._protocol.receive_data(data)
            self._frames.extend(_frames(self._protocol))
        frame = self._frames.popleft()
        if frame.opcode is Opcode.CLOSE:
            close = self._protocol.close_rcvd
            has_code = close is not None and len(frame.data) > 0
            return Ended(close.code if close and has_code else None, has_close_frame=True)
        return bytes(frame.data) if frame.opcode in _DATA else b""

    async def send(self, data: bytes) -> None:
        """Send a binary frame. If the WebSocket has ended, only `receive` tells how."""
        protocol = self._protocol
        if protocol.state is not State.OPEN:
            return
        # Leaves out pongs.
        protocol.data_to_send()
        protocol.send_binary(data)
        with suppress(pycurl.error):
            await self._stream.write(protocol.data_to_send())

    async def close(self) -> None:
        """Send a close frame and wait for the other side's, for half a second at most."""
        protocol = self._protocol
        with suppress(TimeoutError, pycurl.error):
            async with asyncio.timeout(_CLOSE_SECONDS):
                if protocol.close_sent is None:
                    # Leaves out pongs.
                    protocol.data_to_send()
                    protocol.send_close(_NORMAL_CLOSURE)
                    await self._stream.write(protocol.data_to_send())
                for _ in range(_CLOSE_READS):
                    if protocol.close_rcvd:
                        return
                    data = await self._stream.read()
                    # Parsed, a flood would block the event loop.
                    if not data or data[0] == _CLOSE_FRAME:
                        return
                    await asyncio.sleep(0)

    def _violation(self) -> Ended:
        close = self._protocol.close_sent
        return Ended(close.code if close else None, is_violation=True)


async def open_websocket(
    curl: pycurl.Curl,
    url: httpx.URL,
    headers: Mapping[str, str],
    subprotocols: tuple[str, ...],
) -> WebSocket:
    """Make the handshake over an open connection.

    Raises `HandshakeRefusedError`, also for what no browser takes: a redirect, or a subprotocol
    that was not asked for; `NoResponseError` when the connection ends before a response.
    """
    stream = _Stream(curl)
    path = url.raw_path.decode("ascii")
    protocol = ClientProtocol(
        WebSocketURI(
            url.scheme == "https",
            url.raw_host.decode("ascii"),
            url.port or (443 if url.scheme == "https" else 80),
            path.partition("?")[0],
            path.partition("?")[2],
        ),
        subprotocols=[Subprotocol(one) for one in subprotocols] or None,
        max_size=_MESSAGE_MAX_BYTES,
    )
    request = protocol.connect()
    for name, value in headers.items():
        request.headers[name] = value
    protocol.send_request(request)
    try:
        await stream.write(protocol.data_to_send())
        head = await _head(stream)
    except (pycurl.error, OSError):
        raise no_response(
            NoResponse.CLOSED, f"{url.host} ended the connection during the WebSocket handshake"
        ) from None
    status = _STATUS_LINE.match(head)
    if status is None:
        raise no_response(NoResponse.PROTOCOL, f"{url.host} does not speak HTTP")
    if int(status[1]) != SWITCHING_PROTOCOLS:
        # Its body says nothing that matters, and may never end.
        raise HandshakeRefusedError(f"answered {int(status[1])}", int(status[1]))
    protocol.receive_data(head)
    events = protocol.events_received()
    if protocol.handshake_exc is not None or not events:
        raise HandshakeRefusedError(_refusal(protocol.handshake_exc), SWITCHING_PROTOCOLS)
    return WebSocket(stream, protocol, [one for one in events if isinstance(one, Frame)])


async def _head(stream: "_Stream") -> bytes:
    """Read as far as the end of the response's headers, and what came with them."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_MAX_BYTES:
        data = await stream.read()
        if not data:
            if head:
                break
            raise ConnectionResetError
        head += data
    return head


def _refusal(error: Exception | None) -> str:
    what = "but not as WebSocket does"
    if isinstance(error, InvalidHandshake) and "subprotocol" in str(error):
        what = "with a subprotocol that was not asked for"
    return f"answered {SWITCHING_PROTOCOLS}, {what}"


def _frames(protocol: ClientProtocol) -> list[Frame]:
    return [one for one in protocol.events_received() if isinstance(one, Frame)]


class _Stream:
    """Bytes over the connection of a libcurl handle."""

    def __init__(self, curl: pycurl.Curl) -> None:
        self._curl = curl
        self._fd = int(curl.getinfo(pycurl.ACTIVESOCKET))
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        """Return what has come, waiting for it; empty at the end. Raises `pycurl.error`."""
        while True:
            try:
                return bytes(self._curl.recv(_READ_BYTES))
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)

    async def write(self, parts: list[bytes]) -> None:
        """Send all; raises `pycurl.error`."""
        data = memoryview(b"".join(parts))
        while data:
            try:
                data = data[self._curl.send(data) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)

    async def _ready(self, add: _Add, remove: _Remove) -> None:
        ready = self._loop.create_future()
        add(self._fd, _wake, ready)
        try:
            await ready
        finally:
            remove(self._fd)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
