r"""A fake console gateway with raw control over page, WebSocket handshake and frames.

    async with console(behaviour=sends(frame(b"RFB 003.008\n"))) as gateway: ...

It includes a fake API that returns its address, so that a probe can run all stages.
"""

import asyncio
import base64
import contextlib
import hashlib
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from exporter.config.config import Console, Tls
from exporter.config.host_pattern import HostPattern
from tests.real import cloud_responses as cloud
from tests.real.broken_servers import BrokenServer, Connection, Request

TOKEN = "2e3e42cb-b5e7-49f0-91b6-d16401a823ac"
PAGE = "/vnc/host.cn-southwest-242/vnc_auto.html"
ADDRESS = f"{{origin}}{PAGE}?token={TOKEN}&compression=9&quality=0&resize=scale"
RELATIVE = "/vnc/host.cn-southwest-242/websockify"
ROOT = "/websockify"
VERSION = b"RFB 003.008\n"
VERSION_3_3 = b"RFB 003.003\n"
HTML = b"<!DOCTYPE html>\n<title>noVNC</title>\n"
BINARY, TEXT, CONTINUATION, CLOSE, PING = 2, 1, 0, 8, 9
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(data: bytes, opcode: int = BINARY, *, final: bool = True) -> bytes:
    """Return one unmasked WebSocket frame, as servers send them (RFC 6455, 5.2)."""
    head = bytes([(0x80 if final else 0) | opcode])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    if len(data) < 1 << 16:
        return head + b"\x7e" + struct.pack("!H", len(data)) + data
    return head + b"\x7f" + struct.pack("!Q", len(data)) + data


def close(code: int | None, reason: bytes = b"") -> bytes:
    """Return a close frame."""
    return frame(b"" if code is None else struct.pack("!H", code) + reason, CLOSE)


def reason(text: bytes) -> bytes:
    """Return a refusal's reason, as it follows the number 0 of security types (RFC 6143, 7.1.2)."""
    return struct.pack("!I", len(text)) + text


def html(status: int = 200, body: bytes = HTML, **headers: str) -> bytes:
    """Return the console's page as an HTTP response."""
    return cloud.response(status, body, **{"Content_Type": "text/html; charset=utf-8", **headers})


def switching(request: Request, subprotocol: str = "") -> bytes:
    """Return the 101 response to a handshake."""
    key = request.headers["sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest())  # noqa: S324
    chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept.decode()}\r\n{chosen}\r\n"
    ).encode()


Handshake = Callable[[Request], bytes | None]
WebSocketBehaviour = Callable[[Connection], Awaitable[None]]


def accepts(request: Request) -> bytes:
    """Accept every handshake, as websockify does."""
    return switching(request, request.headers.get("sec-websocket-protocol", ""))


def at(path: str, otherwise: bytes) -> Handshake:
    """Accept at one path; return ``otherwise`` at all others."""
    return lambda request: accepts(request) if _path(request) == path else otherwise


def sends(*pieces: bytes, every: float = 0.0) -> WebSocketBehaviour:
    """Send the pieces, one every ``every`` seconds, then read until the client closes."""

    async def behave(connection: Connection) -> None:
        for piece in pieces:
            await connection.send(piece)
            await asyncio.sleep(every)
        await read_until_close(connection)

    return behave


def answers(*pieces: bytes, version: bytes = VERSION, every: float = 0.0) -> WebSocketBehaviour:
    """Send the version, wait for the client's, then send the pieces as `sends` does."""

    async def behave(connection: Connection) -> None:
        await connection.send(frame(version))
        connection.server.received += await connection.first_bytes()
        await sends(*pieces, every=every)(connection)

    return behave


def client_frames(received: bytes) -> list[tuple[int, bytes]]:
    """Return opcode and data of each frame that a client sent; these are short and masked."""
    frames = []
    while received:
        assert received[0] & 0x80
        assert received[1] & 0x80
        size, mask = received[1] & 0x7F, received[2:6]
        data = bytes(one ^ mask[i % 4] for i, one in enumerate(received[6 : 6 + size]))
        frames.append((received[0] & 0x0F, data))
        received = received[6 + size :]
    return frames


async def read_until_close(connection: Connection) -> None:
    """Record the client's bytes until it sends a close frame or disconnects."""
    while data := await connection.first_bytes():
        connection.server.received += data
        if data[0] == 0x80 | CLOSE:
            return


def sends_and_closes(*pieces: bytes) -> WebSocketBehaviour:
    """Send the pieces and close the connection without a close frame."""

    async def behave(connection: Connection) -> None:
        for piece in pieces:
            await connection.send(piece)

    return behave


def sends_and_resets(*pieces: bytes) -> WebSocketBehaviour:
    """Send the pieces and reset the connection."""

    async def behave(connection: Connection) -> None:
        for piece in pieces:
            await connection.send(piece)
        # An RST discards data that the client has not read yet.
        await asyncio.sleep(0.05)
        connection.reset()

    return behave


@dataclass(slots=True)
class Gateway:
    """A running gateway, and the fake API at ``api`` that returns its addresses."""

    server: BrokenServer
    api: str
    settings: Console

    @property
    def requested_paths(self) -> list[str]:
        """Return the requested paths in order."""
        return [_path(request) for request in self.server.requests]

    @property
    def handshakes(self) -> list[Request]:
        """Return the received WebSocket handshakes."""
        return [one for one in self.server.requests if "upgrade" in one.headers]


@contextlib.asynccontextmanager
async def console(  # noqa: PLR0913 - parameters of tests
    *,
    page: bytes | Callable[[Request], bytes] | None = None,
    handshake: Handshake = accepts,
    behaviour: WebSocketBehaviour | None = None,
    tls: ssl.SSLContext | None = None,
    trust: Tls | None = None,
    allowed: Sequence[str] = ("127.0.0.1",),
    path: str = "auto",
    address: str = ADDRESS,
) -> AsyncIterator[Gateway]:
    """Run a gateway, without faults by default.

    In ``address``, ``{origin}`` is the gateway's origin and ``{number}`` the number of the address.
    """
    behaviour = behaviour or sends(frame(VERSION))

    async def behave(connection: Connection) -> None:
        request = await connection.request()
        if "upgrade" not in request.headers:
            page_response = page(request) if callable(page) else html() if page is None else page
            await connection.send(page_response)
            return
        handshake_response = handshake(request)
        if handshake_response is None:
            return
        await connection.send(handshake_response)
        # An empty response means that none is ever sent.
        if not handshake_response or handshake_response.startswith(b"HTTP/1.1 101"):
            await behaviour(connection)

    async with BrokenServer(behave, tls=tls) as server:
        template = address.replace("{origin}", server.url)

        async def serve_address(connection: Connection) -> None:
            while True:
                await connection.request()
                number = str(len(connection.server.requests))
                url = template.replace("{number}", number)
                await connection.send(cloud.json_response(200, {"url": url}))

        async with BrokenServer(serve_address) as api:
            settings = Console(
                allowed_hosts=tuple(HostPattern.parse(host) for host in allowed),
                websocket_path=path,
                tls=trust or Tls(),
            )
            yield Gateway(server, api.url, settings)


def _path(request: Request) -> str:
    return urlsplit(request.path).path
