r"""A console gateway, byte by byte: its page, its WebSocket, and the frames that a test wants.

    async with console(speaks=[frame(b"RFB 003.008\n")]) as gateway: ...

The pretend API that hands out its address is a part of it, so that a probe can go all the way.
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
from tests.real import cloud_answers as cloud
from tests.real.broken_servers import BrokenServer, Connection, Request

TOKEN = "2e3e42cb-b5e7-49f0-91b6-d16401a823ac"
PAGE = "/vnc/host.cn-southwest-242/vnc_auto.html"
ADDRESS = f"{{origin}}{PAGE}?token={TOKEN}&compression=9&quality=0&resize=scale"
RELATIVE = "/vnc/host.cn-southwest-242/websockify"
ROOT = "/websockify"
VERSION = b"RFB 003.008\n"
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


def html(status: int = 200, body: bytes = HTML, **headers: str) -> bytes:
    """Return the console's page as an HTTP answer."""
    return cloud.answer(status, body, **{"Content_Type": "text/html; charset=utf-8", **headers})


def switching(request: Request, subprotocol: str = "") -> bytes:
    """Return the 101 that answers a handshake."""
    key = request.headers["sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest())  # noqa: S324
    chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept.decode()}\r\n{chosen}\r\n"
    ).encode()


Handshake = Callable[[Request], bytes | None]
Speaking = Callable[[Connection], Awaitable[None]]


def accepts(request: Request) -> bytes:
    """Accept whatever is asked for, as websockify does."""
    return switching(request, request.headers.get("sec-websocket-protocol", ""))


def at(path: str, otherwise: bytes) -> Handshake:
    """Accept at one path, and answer ``otherwise`` at all others."""
    return lambda request: accepts(request) if _path(request) == path else otherwise


def says(*pieces: bytes, every: float = 0.0) -> Speaking:
    """Send the pieces, ``every`` seconds one, then wait for the client to go."""

    async def speak(connection: Connection) -> None:
        for piece in pieces:
            await connection.send(piece)
            await asyncio.sleep(every)
        await hears(connection)

    return speak


async def hears(connection: Connection) -> None:
    """Note all that the client sends until it says goodbye or is gone."""
    while data := await connection.first_bytes():
        connection.server.heard += data
        if data[0] == 0x80 | CLOSE:
            return


def says_and_ends(*pieces: bytes) -> Speaking:
    """Send the pieces and end the connection without closing the WebSocket."""

    async def speak(connection: Connection) -> None:
        for piece in pieces:
            await connection.send(piece)

    return speak


def says_and_resets(*pieces: bytes) -> Speaking:
    """Send the pieces and reset the connection."""

    async def speak(connection: Connection) -> None:
        for piece in pieces:
            await connection.send(piece)
        # An RST overtakes what the client has not been given yet.
        await asyncio.sleep(0.05)
        connection.reset()

    return speak


@dataclass(slots=True)
class Gateway:
    """A running gateway, and the pretend API at ``api`` that hands out its addresses."""

    server: BrokenServer
    api: str
    settings: Console

    @property
    def asked(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [_path(request) for request in self.server.requests]

    @property
    def handshakes(self) -> list[Request]:
        """Return the WebSocket handshakes that came."""
        return [one for one in self.server.requests if "upgrade" in one.headers]


@contextlib.asynccontextmanager
async def console(  # noqa: PLR0913 - the knobs that tests turn
    *,
    page: bytes | Callable[[Request], bytes] | None = None,
    handshake: Handshake = accepts,
    speaks: Speaking | None = None,
    tls: ssl.SSLContext | None = None,
    trust: Tls | None = None,
    allowed: Sequence[str] = ("127.0.0.1",),
    path: str = "auto",
    address: str = ADDRESS,
) -> AsyncIterator[Gateway]:
    """Run a gateway, good unless told otherwise.

    ``{origin}`` in ``address`` is its own, ``{number}`` counts the addresses handed out.
    """
    speaks = speaks or says(frame(VERSION))

    async def behave(connection: Connection) -> None:
        request = await connection.request()
        if "upgrade" not in request.headers:
            answer = page(request) if callable(page) else html() if page is None else page
            await connection.send(answer)
            return
        answer_or_none = handshake(request)
        if answer_or_none is None:
            return
        await connection.send(answer_or_none)
        # An empty answer stands for none that ever comes.
        if not answer_or_none or answer_or_none.startswith(b"HTTP/1.1 101"):
            await speaks(connection)

    async with BrokenServer(behave, tls=tls) as server:
        minted = address.replace("{origin}", server.url)

        async def hand_out(connection: Connection) -> None:
            while True:
                await connection.request()
                number = str(len(connection.server.requests))
                url = minted.replace("{number}", number)
                await connection.send(cloud.json_answer(200, {"url": url}))

        async with BrokenServer(hand_out) as api:
            settings = Console(
                allowed_hosts=tuple(HostPattern.parse(host) for host in allowed),
                websocket_path=path,
                tls=trust or Tls(),
            )
            yield Gateway(server, api.url, settings)


def _path(request: Request) -> str:
    return urlsplit(request.path).path
