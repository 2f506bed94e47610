"""Responses made to be expensive do not block the event loop and use little memory."""

import gzip
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest

from exporter.model import Stage
from tests.hostile.loop_blocking import watching_the_loop
from tests.hostile.project import HELD_MAX, HostileProject, hostile_project
from tests.real.raw_console import close, frame

MIB = 1 << 20
OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True, slots=True)
class Flood:
    """The bytes sent in response to requests for ``path``, and the memory in MiB they may use."""

    path: str
    raw: bytes
    memory_max: float = 4.0


def body(text: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(text) + text


def compressed(text: bytes) -> bytes:
    return encoded(gzip.compress(text, 9))


def encoded(packed: bytes, encoding: bytes = b"gzip") -> bytes:
    head = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(packed))
    return OK + head + packed


def repeated(text: bytes) -> bytes:
    return text * (MIB // len(text) - 1)


HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
API, PAGE, SOCKET, LIST = "remote-console-address", "/vnc/", "websockify", "physicalservers?"
FLOODS = {
    "early hints": Flood(API, HINT * 100_000),
    "shortest early hints": Flood(API, b"HTTP/1.1 103\r\n\r\n" * 200_000),
    "early hints with headers": Flood(API, (HINT[:-2] + b"A: b\r\n" * 100 + b"\r\n") * 2_000),
    "a header of 64 KiB": Flood(API, OK + b"X: " + b"x" * (63 << 10) + b"\r\n" + body(b"{}")[17:]),
    "an endless header": Flood(API, OK + b"X: " + b"x" * (4 * MIB)),
    "endless headers": Flood(API, OK + b"X: y\r\n" * 500_000),
    "cookies": Flood(PAGE, OK + (b"Set-Cookie: " + b"a=b;" * 15_000 + b"\r\n") * 9 + b"\r\n<a>"),
    "chunks of one byte": Flood(
        API, OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n[\r\n" * 300_000
    ),
    "brackets": Flood(API, body(repeated(b"["))),
    "small lists": Flood(API, body(repeated(b"[],"))),
    "small objects": Flood(API, body(b"[" + repeated(b'{"":[]},') + b"0]")),
    "long numbers": Flood(API, body(b"[" + repeated(b"9" * 4300 + b",") + b"0]")),
    "an error response of small lists": Flood(
        API, body(repeated(b"[],")).replace(b"200", b"400", 1)
    ),
    "a gzip bomb": Flood(API, compressed(bytes(256 * MIB))),
    "a gzip bomb in gzip in gzip": Flood(
        API,
        encoded(gzip.compress(gzip.compress(gzip.compress(bytes(256 * MIB)))), b"gzip, gzip, gzip"),
    ),
    "empty gzip members": Flood(API, encoded(gzip.compress(b"") * 50_000)),
    "zeros after the gzip": Flood(API, encoded(gzip.compress(b"{}") + bytes(MIB))),
    "empty deflate blocks": Flood(API, encoded(b"\0\0\0\xff\xff" * 200_000, b"deflate")),
    "a gzip bomb in an error response": Flood(
        API, compressed(bytes(256 * MIB)).replace(b"200", b"500", 1)
    ),
    "a gzip bomb as page": Flood(PAGE, compressed(bytes(256 * MIB)), 12.0),
    "a page of spaces": Flood(PAGE, body(b" " * (4 * MIB)), 16.0),
    "a gzip bomb as server list": Flood(
        LIST, compressed(b'{"servers":[' + b"[]," * (4 * MIB) + b"0]}"), 24.0
    ),
    "a server list of small objects": Flood(
        LIST, body(b'{"servers":[' + b'{"":[]},' * (MIB - 4) + b"0]}"), 40.0
    ),
    "pings": Flood(SOCKET, frame(b"", 9) * 200_000),
    "empty messages": Flood(SOCKET, frame(b"") * 200_000),
    "first bytes of a version": Flood(SOCKET, frame(b"R") * 100_000),
    "bytes after the version": Flood(SOCKET, frame(b"RFB 003.008\n") + frame(b"R") * 100_000),
    "security types": Flood(
        SOCKET, frame(b"RFB 003.007\n") + frame(b"\xff") + frame(b"\1") * 100_000
    ),
    "a reason": Flood(
        SOCKET, frame(b"RFB 003.003\n" + bytes(4) + b"\xff" * 4) + frame(b"R") * 100_000
    ),
    "fragments of a message": Flood(
        SOCKET, frame(b"", final=False) + frame(b"", 0, final=False) * 99_999
    ),
    "close frames": Flood(SOCKET, close(1000) * 50_000),
}


async def prepare(project: HostileProject, flood: Flood) -> Callable[[], Awaitable[object]]:
    """Make the server send the flood; return a function that sends the request for it."""

    async def list_servers() -> object:
        try:
            return await project.listed(timeout=1.0)
        except httpx.RequestError as error:
            return error

    async def probe() -> object:
        return await project.probe(Stage.PAGE if flood.path == PAGE else Stage.SECURITY)

    if flood.path == SOCKET:
        project.websocket_data, project.ending = flood.raw, "stays"
    else:
        project.responses, project.ending = {flood.path: flood.raw}, "serves"
    return list_servers if flood.path == LIST else probe


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_a_flood_does_not_block_the_loop_and_uses_little_memory(flood: Flood) -> None:
    async with hostile_project() as project:
        send = await prepare(project, flood)
        # The first request does work that is done only once.
        await send()
        async with watching_the_loop() as held:
            await send()
        # Tracing makes the code several times slower.
        project.held_max = 1.0
        tracemalloc.start()
        try:
            await send()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert held.longest < HELD_MAX
    assert peak < flood.memory_max * MIB
