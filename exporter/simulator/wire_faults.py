"""Produce the faulty responses and connections of each kind of fault."""

import asyncio
import functools
import gzip
import socket
import struct
from collections.abc import Mapping

from aiohttp import web

from exporter.simulator.replies import HTML, Reply
from exporter.simulator.scenario import Fault, FaultKind

NOT_HTTP = b"SSH-2.0-OpenSSH_9.2\r\n"
_CHUNK = b" " * 65_536
_ENDLESS_CHUNKS = 4_096
_BOMB_BYTES = 64 << 20
# On close, discard unsent data and send RST immediately.
_LINGER_ZERO = struct.pack("ii", 1, 0)
_ELSEWHERE = "http://elsewhere.invalid/"
_NOT_A_WEB_PAGE = "javascript:alert(document.cookie)"
_LOGIN_PAGE = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>
"""


def broken_reply(fault: Fault, good: Reply) -> Reply | None:  # noqa: PLR0911 - one per case
    """Return the response if the fault is in its content; None if it is in the connection."""
    match fault.kind:
        case FaultKind.HTML | FaultKind.NO_UPGRADE:
            return Reply(200, _LOGIN_PAGE, HTML)
        case FaultKind.EMPTY:
            return Reply(200)
        case FaultKind.BAD_JSON:
            return Reply(200, good.body[: len(good.body) // 2])
        case FaultKind.REDIRECT:
            return Reply(302, headers={"Location": fault.url or _ELSEWHERE})
        case FaultKind.BAD_URL:
            body = (fault.url or _NOT_A_WEB_PAGE).replace("\\", "\\\\").replace('"', '\\"')
            return Reply(200, f'{{"url":"{body}"}}'.encode())
        case FaultKind.CONTENT_TYPE:
            return Reply(200, good.body, "application/octet-stream", good.headers)
        case _:
            return None


async def break_wire(
    fault: Fault, request: web.Request, good: Reply, headers: Mapping[str, str]
) -> web.StreamResponse | None:
    """Break the connection as the fault does; return None if no status is sent."""
    match fault.kind:
        case FaultKind.HANG:
            # A disconnect of the client and the simulator's shutdown cancel this.
            await asyncio.get_running_loop().create_future()
        case FaultKind.RESET:
            reset(request)
        case FaultKind.DROP:
            drop(request)
        case FaultKind.GARBAGE:
            _send_garbage(request)
        case FaultKind.CUT:
            return await _cut(request, good, headers)
        case FaultKind.ENDLESS:
            return await _never_end(request, headers)
        case FaultKind.GZIP_BOMB:
            body = await asyncio.to_thread(_bomb)
            return web.Response(body=body, headers={**headers, "Content-Encoding": "gzip"})
        case _:
            raise AssertionError(f"{fault.kind} is not a fault of the connection")
    return None


def reset(request: web.Request) -> None:
    """Close the connection with RST."""
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


def drop(request: web.Request) -> None:
    """Close the connection with FIN, without a response."""
    if request.transport is not None:
        request.transport.close()


def _send_garbage(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.write(NOT_HTTP)
        drop(request)


async def _cut(request: web.Request, good: Reply, headers: Mapping[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(status=good.status, headers=headers)
    response.content_length = len(good.body)
    response.force_close()
    await _write(request, response, good.body[: len(good.body) // 2])
    drop(request)
    return response


async def _never_end(request: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send spaces until the client disconnects, 256 MiB at most."""
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    response.force_close()
    await _write(request, response, b'{"url":')
    for _ in range(_ENDLESS_CHUNKS):
        if not await _write(request, response, _CHUNK):
            break
    return response


async def _write(request: web.Request, response: web.StreamResponse, data: bytes) -> bool:
    """Write data; return whether the client is still connected."""
    try:
        if not response.prepared:
            await response.prepare(request)
        await response.write(data)
    except ConnectionError:
        return False
    return True


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(b'{"url":"' + bytes(_BOMB_BYTES), 1)
