"""Run Debian's TigerVNC as a server's console, and a minimal viewer."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.real.certificates import client_context
from tests.real.programs import Program, free_port, program, required

_NONE = 1
_SHARED = b"\1"
_FRAMEBUFFER_UPDATE = 0


@contextlib.contextmanager
def vnc_server(*parameters: str) -> Iterator[Program]:
    """Run TigerVNC on a free display; its ``url`` is ``host:port``, as in a token file.

    It needs no password and listens on loopback only.
    """
    port = free_port()
    with program(
        [
            required("Xtigervnc"), "-displayfd", "1", "-rfbport", str(port), "-localhost",
            "-SecurityTypes", "None", "-geometry", "640x480", *parameters,
        ],
        r"^\d+$",
    ) as running:  # fmt: skip
        running.url = f"127.0.0.1:{port}"
        yield running


class RefusedError(Exception):
    """The VNC server refused the viewer; the message is its reason."""


@dataclass
class Viewer:
    """A viewer that speaks RFB 3.8 (RFC 6143) over a WebSocket, as noVNC does."""

    socket: ClientConnection
    _received: bytearray = field(default_factory=bytearray)

    async def log_in(self) -> None:
        """Go through the handshake as a shared viewer; raises `RefusedError`."""
        version = await self._read(12)
        if version == b"RFB 003.003\n":
            # TigerVNC uses version 3.3 to refuse a client immediately.
            await self._refuse_unless(await self._number() == _NONE)
        await self.socket.send(b"RFB 003.008\n")
        kinds = await self._read((await self._read(1))[0])
        await self._refuse_unless(_NONE in kinds)
        await self.socket.send(bytes([_NONE]))
        await self._refuse_unless(await self._number() == 0)
        await self.socket.send(_SHARED)
        # Width, height and pixel format, then the name.
        await self._read(20)
        await self._read(await self._number())

    async def update(self) -> int:
        """Request a full update of a corner of the screen; return its size in bytes."""
        await self.socket.send(struct.pack("!BBHHHH", 3, 0, 0, 0, 16, 16))
        kind, _, rectangles = struct.unpack("!BBH", await self._read(4))
        assert kind == _FRAMEBUFFER_UPDATE
        size = 0
        for _ in range(rectangles):
            _, _, width, height, encoding = struct.unpack("!HHHHi", await self._read(12))
            assert encoding == 0, "only raw pixels were offered"
            size += len(await self._read(width * height * 4))
        return size

    async def _refuse_unless(self, accepted: bool) -> None:  # noqa: FBT001 - the condition
        if not accepted:
            raise RefusedError((await self._read(await self._number())).decode())

    async def _number(self) -> int:
        return int.from_bytes(await self._read(4))

    async def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            self._received += await asyncio.wait_for(self.socket.recv(decode=False), 10)
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


@contextlib.asynccontextmanager
async def viewer(url: str, authority: Path) -> AsyncIterator[Viewer]:
    """Open a console's WebSocket at ``url`` and log in, until the block ends."""
    async with connect(
        url,
        subprotocols=[Subprotocol("binary")],
        ssl=client_context(authority),
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
    ) as socket:
        opened = Viewer(socket)
        await opened.log_in()
        yield opened
