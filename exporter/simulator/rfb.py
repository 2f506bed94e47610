"""Send the first bytes of RFB, or a fault, through the WebSocket of a console.

A server of the Remote Framebuffer Protocol sends the first twelve bytes: RFC 6143, 7.1.1.
"""

import asyncio
import struct
from collections.abc import Awaitable

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode

from exporter.clock import Clock
from exporter.simulator.connection import Connection
from exporter.simulator.scenario import Fault, FaultKind
from exporter.simulator.wire_faults import NOT_HTTP

_VERSION = b"RFB 003.008\n"
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

    async def reject(self) -> None:
        """Close before the first byte because there are too many viewers."""
        await self._close(CloseCode.TRY_AGAIN_LATER)

    async def run(self, delay: Awaitable[Fault | None]) -> None:
        """Send the first bytes, then wait up to 60 s for the viewer to close.

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
        """Read and discard messages until the viewer closes."""
        while self._socket.client_state is WebSocketState.CONNECTED:
            message = await self._socket.receive()
            # The end of a connection without a close frame has no reason.
            if message["type"] == "websocket.disconnect" and "reason" in message:
                self.close_code = message["code"]

    async def _send(self, fault: Fault | None) -> None:
        match fault and fault.kind:
            case None:
                await self._socket.send_bytes(_VERSION)
            case FaultKind.HANG:
                pass
            case FaultKind.RESET:
                self._connection.reset()
            case FaultKind.DROP:
                self._connection.drop()
            case FaultKind.GARBAGE:
                await self._socket.send_bytes(NOT_HTTP)
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
