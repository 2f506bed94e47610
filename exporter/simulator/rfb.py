"""Speak RFB as far as the security types, or a fault, through the WebSocket of a console.

A server of the Remote Framebuffer Protocol sends its version and, after the viewer's, its security
types: RFC 6143, 7.1.1 and 7.1.2. The server has no password.
"""

import asyncio
import struct
from collections.abc import Awaitable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode

from exporter.clock import Clock
from exporter.simulator.connection import Connection
from exporter.simulator.scenario import Fault, FaultKind
from exporter.simulator.wire_faults import NOT_HTTP

_VERSION = b"RFB 003.008\n"
_VERSION_3_7 = b"RFB 003.007\n"
# TigerVNC's refusal of a host that has connected too often without a login.
_BUSY = b"RFB 003.003\n\0\0\0\0\0\0\0\x1aToo many security failures"
_UNASKED = {FaultKind.GARBAGE: NOT_HTTP, FaultKind.BUSY: _BUSY}
_NO_AUTHENTICATION = 1
_SESSION_MAX_SECONDS = 60.0
_FRAME = bytes(64 * 1024)
_ENDLESS_FRAMES = 160
_TRICKLE_SECONDS = 1.0
# Frame header of a close frame that contains a code only: RFC 6455, 5.2.
_CLOSE_FRAME = b"\x88\x02"


class ViewerSession:
    """One viewer's open WebSocket to one server's console.

    ``close_code`` is the code of the side that closes first, None if the connection ends without
    a close frame.
    """

    def __init__(self, socket: WebSocket, connection: Connection, clock: Clock) -> None:
        self.close_code: int | None = None
        self._socket = socket
        self._connection = connection
        self._clock = clock
        self._answers = False
        self._reason = ""

    async def reject(self) -> None:
        """Close before the first byte because there are too many viewers."""
        await self._close(CloseCode.TRY_AGAIN_LATER)

    async def run(self, delay: Awaitable[Fault | None]) -> None:
        """Speak RFB, and wait up to 60 s for the viewer to close.

        ``delay`` waits for the latency and returns the fault to apply, if any.
        """
        reading = asyncio.ensure_future(self._read())
        expiring = asyncio.ensure_future(self._clock.sleep(_SESSION_MAX_SECONDS))
        code: int = CloseCode.NORMAL_CLOSURE
        try:
            fault = await delay
            if fault is not None and fault.kind is FaultKind.CLOSE:
                code = fault.code
            else:
                await self._send(fault)
                await asyncio.wait({reading, expiring}, return_when=asyncio.FIRST_COMPLETED)
        except WebSocketDisconnect:
            pass  # the viewer is gone
        finally:
            reading.cancel()
            expiring.cancel()
        if self._socket.client_state is WebSocketState.CONNECTED:
            await self._close(code)

    async def _close(self, code: int) -> None:
        self.close_code = code
        try:
            await self._socket.close(code)
        except ProtocolError:  # websockets sends no reserved codes
            self._connection.write(_CLOSE_FRAME + struct.pack("!H", code))
            self._connection.drop()

    async def _read(self) -> None:
        """Answer the viewer's version, and discard all that follows until the viewer closes."""
        version = b""
        while self._socket.client_state is WebSocketState.CONNECTED:
            message = await self._socket.receive()
            if self._answers and len(version) < len(_VERSION):
                version += message.get("bytes") or b""
                if len(version) >= len(_VERSION):
                    with suppress(WebSocketDisconnect):
                        await self._socket.send_bytes(_security(version, self._reason))
            # The end of a connection without a close frame has no reason.
            if message["type"] == "websocket.disconnect" and "reason" in message:
                self.close_code = message["code"]

    async def _send(self, fault: Fault | None) -> None:
        match fault and fault.kind:
            case None | FaultKind.REFUSE:
                self._answers, self._reason = True, fault.reason if fault else ""
                await self._socket.send_bytes(_VERSION)
            case FaultKind.HANG:
                pass
            case FaultKind.RESET:
                self._connection.reset()
            case FaultKind.DROP:
                self._connection.drop()
            case FaultKind.GARBAGE | FaultKind.BUSY as kind:
                await self._socket.send_bytes(_UNASKED[kind])
            case FaultKind.ENDLESS:
                for _ in range(_ENDLESS_FRAMES):
                    await self._socket.send_bytes(_FRAME)
                    # Without a pause, the end of the connection is not noticed.
                    await asyncio.sleep(0)
            case FaultKind.TRICKLE:
                for index in range(len(_VERSION)):
                    await self._clock.sleep(_TRICKLE_SECONDS if index else 0)
                    await self._socket.send_bytes(_VERSION[index : index + 1])
            case kind:
                raise AssertionError(f"{kind} is not a fault of console_rfb")


def _security(version: bytes, reason: str) -> bytes:
    """Return the answer to a viewer's version: a security type, or a refusal for a reason."""
    text = reason.encode()
    if version < _VERSION_3_7:
        kind = struct.pack("!I", 0 if reason else _NO_AUTHENTICATION)
    else:
        kind = b"\0" if reason else bytes([1, _NO_AUTHENTICATION])
    return kind + struct.pack("!I", len(text)) + text if reason else kind
