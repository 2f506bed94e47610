"""Send the first bytes of RFB, or a fault, through the WebSocket of a console.

A server of the Remote Framebuffer Protocol sends the first twelve bytes: RFC 6143, 7.1.1.
"""

import asyncio
from collections.abc import Awaitable

from aiohttp import WSCloseCode, WSMsgType, web

from exporter.simulator.clock import Clock
from exporter.simulator.scenario import Fault, FaultKind
from exporter.simulator.wire_faults import NOT_HTTP, drop, reset

_VERSION = b"RFB 003.008\n"
_SESSION_MAX_SECONDS = 60.0
_FRAME = bytes(64 * 1024)
_ENDLESS_FRAMES = 160
_TRICKLE_SECONDS = 1.0
# Stands for a close frame without a code: RFC 6455, 7.1.5.
_NO_CODE = 1005


class ViewerSession:
    """One viewer's open WebSocket to one server's console.

    ``close_code`` is the code of the side that closes first, None if the connection ends without
    a close frame.
    """

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, clock: Clock) -> None:
        self.close_code: int | None = None
        self._socket = socket
        self._request = request
        self._clock = clock

    async def reject(self) -> None:
        """Close before the first byte because there are too many viewers."""
        await self._close(WSCloseCode.TRY_AGAIN_LATER)

    async def run(self, delay: Awaitable[Fault | None]) -> None:
        """Send the first bytes, then wait up to 60 s for the viewer to close.

        ``delay`` waits for the latency and returns the fault to apply, if any.
        """
        reading = asyncio.ensure_future(self._read())
        expiring = asyncio.ensure_future(self._clock.sleep(_SESSION_MAX_SECONDS))
        code: int = WSCloseCode.OK
        try:
            fault = await delay
            if fault is not None and fault.kind is FaultKind.CLOSE:
                code = fault.code
            else:
                await self._send(fault)
                await asyncio.wait({reading, expiring}, return_when=asyncio.FIRST_COMPLETED)
        except ConnectionError:
            pass  # the viewer is gone
        finally:
            reading.cancel()
            expiring.cancel()
        await asyncio.wait({reading, expiring})
        if not self._socket.closed:
            await self._close(code)

    async def _close(self, code: int) -> None:
        self.close_code = code
        await self._socket.close(code=code)

    async def _read(self) -> None:
        """Read and discard messages until the viewer closes."""
        while not self._socket.closed:
            message = await self._socket.receive()
            if message.type is WSMsgType.CLOSE:
                self.close_code = message.data or _NO_CODE

    async def _send(self, fault: Fault | None) -> None:
        match fault and fault.kind:
            case None:
                await self._socket.send_bytes(_VERSION)
            case FaultKind.HANG:
                pass
            case FaultKind.RESET:
                reset(self._request)
            case FaultKind.DROP:
                drop(self._request)
            case FaultKind.GARBAGE:
                await self._socket.send_bytes(NOT_HTTP)
            case FaultKind.ENDLESS:
                for _ in range(_ENDLESS_FRAMES):
                    await self._socket.send_bytes(_FRAME)
            case FaultKind.TRICKLE:
                for index in range(len(_VERSION)):
                    await self._clock.sleep(_TRICKLE_SECONDS if index else 0)
                    await self._socket.send_bytes(_VERSION[index : index + 1])
            case kind:
                raise AssertionError(f"{kind} is not a fault of console_rfb")
