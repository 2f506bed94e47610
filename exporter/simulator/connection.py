"""Give each request its connection, for faults below HTTP, and end requests with it."""

import asyncio
import contextlib
import socket
import struct
from typing import NoReturn, cast

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_STATE = "connection"
# On close, discard unsent data and send RST immediately.
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Connection:
    """The connection of a client. Its end cancels the request in progress."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._ended = False
        self._request: asyncio.Task[object] | None = None

    @classmethod
    def of(cls, request: HTTPConnection) -> "Connection":
        """Return the connection of a request or WebSocket."""
        return cast("Connection", request.scope["state"][_STATE])

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._transport.write(data)

    def drop(self) -> None:
        """Close with FIN, after the data that was written."""
        self._transport.close()

    def reset(self) -> None:
        """Close with RST."""
        connection: socket.socket = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._transport.abort()

    async def hang(self) -> NoReturn:
        """Wait until the connection ends, which cancels the request."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nothing completes this future")

    async def run(self, request: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request until it is complete or the connection ends."""
        if self._ended:
            return
        self._request = asyncio.current_task()
        # uvicorn reports cancelled requests and denied WebSockets as errors.
        with contextlib.suppress(asyncio.CancelledError):
            await request(scope, receive, send)
            if scope["type"] == "websocket":
                await self.hang()
        self._request = None

    def end(self) -> None:
        """Cancel the request: the connection has ended."""
        self._ended = True
        if self._request is not None:
            self._request.cancel()


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP protocol, whose requests have a `Connection` in their state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to read requests."""
        self.app_state = {_STATE: Connection(transport)}
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        super().connection_lost(exc)
        self.app_state[_STATE].end()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which takes over the connection of an `HttpProtocol`."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        super().connection_lost(exc)
        self.app_state[_STATE].end()


def ended_with_connection(app: ASGIApp) -> ASGIApp:
    """Return ``app`` as middleware that cancels a request when its connection ends."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"][_STATE]
        await connection.run(app, scope, receive, send)

    return handle
