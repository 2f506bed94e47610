"""Answers that go wrong on the wire, each in its own way."""

import asyncio
import functools
import gzip
import socket
import struct
from collections.abc import Mapping

from aiohttp import web

from exporter.simulator.replies import HTML, Reply
from exporter.simulator.scenario import Fault, FaultKind

NO_HTTP = b"SSH-2.0-OpenSSH_9.2\r\n"
_CHUNK = b" " * 65_536
_ENDLESS_CHUNKS = 4_096
_BOMB_BYTES = 64 << 20
# On close, drop what is unsent and send RST at once.
_LINGER_NOT = struct.pack("ii", 1, 0)
_ELSEWHERE = "http://elsewhere.invalid/"
_NO_WEB_PAGE = "javascript:alert(document.cookie)"
_LOGIN_PAGE = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>
"""


def broken_reply(fault: Fault, good: Reply) -> Reply | None:  # noqa: PLR0911 - one a case
    """Return the answer of a fault that shows in an answer's content; None for other faults."""
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
            body = (fault.url or _NO_WEB_PAGE).replace("\\", "\\\\").replace('"', '\\"')
            return Reply(200, f'{{"url":"{body}"}}'.encode())
        case FaultKind.CONTENT_TYPE:
            return Reply(200, good.body, "application/octet-stream", good.headers)
        case _:
            return None


async def break_wire(
    fault: Fault, request: web.Request, good: Reply, headers: Mapping[str, str]
) -> web.StreamResponse | None:
    """Answer as a fault of the wire does; None when no status was sent."""
    match fault.kind:
        case FaultKind.HANG:
            # Until the client hangs up or the simulator ends: both cancel this.
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
            raise AssertionError(f"{fault.kind} is no fault of the wire")
    return None


def reset(request: web.Request) -> None:
    """End the connection with RST."""
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()


def drop(request: web.Request) -> None:
    """End the connection in good order, with no answer."""
    if request.transport is not None:
        request.transport.close()


def _send_garbage(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.write(NO_HTTP)
        drop(request)


async def _cut(request: web.Request, good: Reply, headers: Mapping[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(status=good.status, headers=headers)
    response.content_length = len(good.body)
    response.force_close()
    await _write(request, response, good.body[: len(good.body) // 2])
    drop(request)
    return response


async def _never_end(request: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send blanks until the client has enough, or 256 MiB are sent."""
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    response.force_close()
    await _write(request, response, b'{"url":')
    for _ in range(_ENDLESS_CHUNKS):
        if not await _write(request, response, _CHUNK):
            break
    return response


async def _write(request: web.Request, response: web.StreamResponse, data: bytes) -> bool:
    """Write, and tell whether anybody still reads."""
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
