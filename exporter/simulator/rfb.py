"""What a machine says when a viewer looks at its console: the beginning of RFB, or worse.

A server of the Remote Framebuffer Protocol speaks first, twelve bytes: RFC 6143, 7.1.1.
"""

import asyncio
from collections.abc import Awaitable

from aiohttp import WSCloseCode, WSMsgType, web

from exporter.simulator.clock import Clock
from exporter.simulator.scenario import Fault, FaultKind
from exporter.simulator.wire_faults import NO_HTTP, drop, reset

_VERSION = b"RFB 003.008\n"
_VIEWING_MAX_SECONDS = 60.0
_FRAME = bytes(64 * 1024)
_ENDLESS_FRAMES = 160
_TRICKLE_SECONDS = 1.0
# What a close frame without a code stands for: RFC 6455, 7.1.5.
_NO_CODE = 1005


class Viewing:
    """One viewer's WebSocket to one machine.

    ``close_code`` is that of whichever side closed it, None when the connection ended without.
    """

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, clock: Clock) -> None:
        """Take a WebSocket that is open."""
        self.close_code: int | None = None
        self._socket = socket
        self._request = request
        self._clock = clock

    async def refuse(self) -> None:
        """Close before the first byte: there are too many viewers."""
        await self._close(WSCloseCode.TRY_AGAIN_LATER)

    async def run(self, delayed: Awaitable[Fault | None]) -> None:
        """Speak when ``delayed`` says how, then wait until the viewer closes, 60 s at most."""
        hearing = asyncio.ensure_future(self._hear())
        resting = asyncio.ensure_future(self._clock.sleep(_VIEWING_MAX_SECONDS))
        code: int = WSCloseCode.OK
        try:
            fault = await delayed
            if fault is not None and fault.kind is FaultKind.CLOSE:
                code = fault.code
            else:
                await self._speak(fault)
                await asyncio.wait({hearing, resting}, return_when=asyncio.FIRST_COMPLETED)
        except ConnectionError:
            pass  # nobody listens any more
        finally:
            hearing.cancel()
            resting.cancel()
        await asyncio.wait({hearing, resting})
        if not self._socket.closed:
            await self._close(code)

    async def _close(self, code: int) -> None:
        self.close_code = code
        await self._socket.close(code=code)

    async def _hear(self) -> None:
        """Read until the viewer closes; all that it says is thrown away."""
        while not self._socket.closed:
            message = await self._socket.receive()
            if message.type is WSMsgType.CLOSE:
                self.close_code = message.data or _NO_CODE

    async def _speak(self, fault: Fault | None) -> None:
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
                await self._socket.send_bytes(NO_HTTP)
            case FaultKind.ENDLESS:
                for _ in range(_ENDLESS_FRAMES):
                    await self._socket.send_bytes(_FRAME)
            case FaultKind.TRICKLE:
                for index in range(len(_VERSION)):
                    await self._clock.sleep(_TRICKLE_SECONDS if index else 0)
                    await self._socket.send_bytes(_VERSION[index : index + 1])
            case kind:
                raise AssertionError(f"{kind} is no fault of a machine")
