"""Close a WebSocket as browsers do, whatever the other side goes on sending."""

import asyncio
import struct
from contextlib import suppress
from typing import TypeAlias

import aiohttp

# The other side is given so long, and so many messages, to say goodbye.
_FAREWELL_SECONDS = 0.5
_LEFT_OVER_MAX = 100
_NORMAL_CLOSURE = struct.pack("!H", aiohttp.WSCloseCode.OK)
_GOING_ON = frozenset(
    {
        aiohttp.WSMsgType.BINARY,
        aiohttp.WSMsgType.TEXT,
        aiohttp.WSMsgType.PING,
        aiohttp.WSMsgType.PONG,
    }
)


WebSocket: TypeAlias = "aiohttp.ClientWebSocketResponse[bool]"
"""An open WebSocket: `receive` its messages."""


async def close_websocket(opened: WebSocket) -> None:
    """Send a close and wait for the other side's, for half a second at most.

    aiohttp's own waiting goes through tens of thousands of messages at one go, if they are there.
    """
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            if opened.closed or opened.close_code is not None:
                await opened.close()
                return
            await opened.send_frame(_NORMAL_CLOSURE, aiohttp.WSMsgType.CLOSE)
            for _ in range(_LEFT_OVER_MAX):
                if (await opened.receive()).type not in _GOING_ON:
                    return
