"""Servers that break in many ways, over real sockets.

A `BrokenServer` listens on loopback and passes each connection to a behaviour, a coroutine that
implements the server:

    async with BrokenServer(resets) as server: ...
    async with BrokenServer(resets, tls=certificates.good()) as server: ...    # the same over TLS
    async with BrokenServer(answers(cloud_responses.console_address())) as server: ...    # good

It records all requests. The behaviours here break below HTTP; those of `broken_responses` send
complete or partial responses.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
_REQUEST_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """One received request; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


class Connection:
    """One connection, as passed to a behaviour."""

    def __init__(
        self, server: "BrokenServer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self._reader = reader
        self._writer = writer

    async def request(self) -> Request:
        """Read and record the next broken request; raises `EOFError` if the client is gone.

        Requests that the server's ``healthy`` answers are answered on the way.
        """
        while True:
            request = await self._read()
            answer = self.server.healthy(request)
            if answer is None:
                self.server.requests.append(request)
                return request
            self.server.healthy_requests.append(request)
            await self.send(answer)

    async def _read(self) -> Request:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip("\r\n").split("\r\n")
        method, path, _ = line.split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
        }
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Request(method, path, headers, body)

    async def first_bytes(self) -> bytes:
        """Read the next bytes, such as a request or the start of a TLS handshake."""
        return await self._reader.read(_REQUEST_MAX_BYTES)

    async def send(self, data: bytes) -> None:
        """Send data, waiting while the client does not read."""
        self._writer.write(data)
        await self._writer.drain()
        self.server.bytes_sent += len(data)

    async def close(self) -> None:
        """Close the connection with a FIN after the sent data."""
        self._writer.close()
        # asyncio's errors if the client closes first.
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            await self._writer.wait_closed()

    def reset(self) -> None:
        """Close the connection with an RST."""
        linger_none = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger_none
        )
        self._writer.transport.abort()

    def abort(self) -> None:
        """Close the connection and discard unsent data."""
        self._writer.transport.abort()


Behaviour = Callable[[Connection], Awaitable[None]]


@dataclass(slots=True)
class BrokenServer:
    """A server on a free loopback port, with TLS if ``tls`` is given.

    ``healthy`` returns the response to a request that is not broken, else None. ``connections``
    counts accepted connections (with ``tls``: successful handshakes); ``received`` holds the bytes
    after the requests that a behaviour recorded.
    """

    behaviour: Behaviour
    tls: ssl.SSLContext | None = None
    healthy: Callable[[Request], bytes | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    healthy_requests: list[Request] = field(default_factory=list)
    connections: int = 0
    bytes_sent: int = 0
    received: bytearray = field(default_factory=bytearray)
    host: str = LOOPBACK
    port: int = 0
    _server: asyncio.Server | None = None
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Return ``scheme://host:port`` of this server."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, LOOPBACK, 0, ssl=self.tls, limit=_REQUEST_MAX_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        # Aborted transports close in the next iterations of the event loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = Connection(self, reader, writer)
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        try:
            await self.behaviour(connection)
            await connection.close()
        except (EOFError, ConnectionError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            # The server stops. asyncio would log a cancelled connection as an error.
            pass
        finally:
            connection.abort()


# ---- Behaviours below HTTP


async def closes(connection: Connection) -> None:
    """Read the request and close without a response."""
    await connection.request()


async def resets(connection: Connection) -> None:
    """Read the request and reset the connection."""
    await connection.request()
    connection.reset()


async def stalls(connection: Connection) -> None:
    """Accept the connection and never send anything."""
    await connection.first_bytes()
    await asyncio.Event().wait()


async def stalls_after_the_request(connection: Connection) -> None:
    """Read a request and never answer it."""
    await connection.request()
    await asyncio.Event().wait()


async def closes_at_first_bytes(connection: Connection) -> None:
    """Close at the client's first bytes, for example during a TLS handshake."""
    await connection.first_bytes()


async def resets_at_first_bytes(connection: Connection) -> None:
    """Reset at the client's first bytes."""
    await connection.first_bytes()
    connection.reset()


async def speaks_plain_http(connection: Connection) -> None:
    """Answer any bytes with a plain HTTP 400, as web servers do for TLS on a plain port."""
    await connection.first_bytes()
    await connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def refuses_client(tls: ssl.SSLContext) -> Behaviour:
    """Do the TLS handshake and send an alert if it fails.

    asyncio's own servers close without an alert, unlike real servers.
    """

    async def behave(connection: Connection) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        handshake = tls.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                handshake.do_handshake()
            except ssl.SSLWantReadError:
                await connection.send(outgoing.read())
                incoming.write(await connection.first_bytes())
            except ssl.SSLError:
                await connection.send(outgoing.read())
                break
            else:
                raise AssertionError("the client should be rejected")
        # Closing with unread bytes would send an RST, which discards the alert.
        while await connection.first_bytes():
            pass

    return behave
