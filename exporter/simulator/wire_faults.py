"""Produce the faulty responses and connections of each kind of fault."""

import asyncio
import functools
import gzip
from collections.abc import AsyncIterator, Mapping

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from exporter.simulator.connection import Connection
from exporter.simulator.replies import HTML, Reply
from exporter.simulator.scenario import Fault, FaultKind

NOT_HTTP = b"SSH-2.0-OpenSSH_9.2\r\n"
_CHUNK = b" " * 65_536
_ENDLESS_CHUNKS = 4_096
_BOMB_BYTES = 64 << 20
_ELSEWHERE = "http://elsewhere.invalid/"
_NOT_A_WEB_PAGE = "javascript:alert(document.cookie)"
_LOGIN_PAGE = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>
"""
_LAST = {"Connection": "close"}


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
    fault: Fault, connection: Connection, good: Reply, headers: Mapping[str, str]
) -> Response:
    """Return the response of a fault of the connection, or never if it sends no status."""
    match fault.kind:
        case FaultKind.CUT:
            return _CutResponse(connection, good, headers)
        case FaultKind.ENDLESS:
            return StreamingResponse(_endless_body(), headers={**headers, **_LAST})
        case FaultKind.GZIP_BOMB:
            body = await asyncio.to_thread(_bomb)
            return Response(body, headers={**headers, "Content-Encoding": "gzip"})
        case FaultKind.HANG:
            pass
        case FaultKind.RESET:
            connection.reset()
        case FaultKind.DROP:
            connection.drop()
        case FaultKind.GARBAGE:
            connection.write(NOT_HTTP)
            connection.drop()
        case _:
            raise AssertionError(f"{fault.kind} is not a fault of the connection")
    return await connection.hang()


class _CutResponse(Response):
    """A response whose connection is closed in the middle of its body."""

    def __init__(self, connection: Connection, good: Reply, headers: Mapping[str, str]) -> None:
        super().__init__(good.body, good.status, {**headers, **_LAST})
        self._connection = connection

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        self._connection.drop()
        await self._connection.hang()


async def _endless_body() -> AsyncIterator[bytes]:
    """Yield spaces until the client disconnects, 256 MiB at most."""
    yield b'{"url":'
    for _ in range(_ENDLESS_CHUNKS):
        yield _CHUNK
        await asyncio.sleep(0)  # without a pause, the end of the connection is not noticed


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(b'{"url":"' + bytes(_BOMB_BYTES), 1)
