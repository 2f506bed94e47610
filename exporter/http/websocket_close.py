"""Close a WebSocket as browsers do, even if the peer keeps sending."""

import asyncio
import struct
from contextlib import suppress
from typing import TypeAlias

import aiohttp

# Limits for the peer to send its close frame.
_CLOSE_SECONDS = 0.5
_MESSAGES_MAX = 100
_NORMAL_CLOSURE = struct.pack("!H", aiohttp.WSCloseCode.OK)
_NOT_CLOSING = frozenset(
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
    """Send a close frame and wait for the peer's, for half a second at most.

    aiohttp's own close would process tens of thousands of waiting messages in one step.
    """
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            if opened.closed or opened.close_code is not None:
                await opened.close()
                return
            await opened.send_frame(_NORMAL_CLOSURE, aiohttp.WSMsgType.CLOSE)
            for _ in range(_MESSAGES_MAX):
                if (await opened.receive()).type not in _NOT_CLOSING:
                    return
