"""Answers that are made to be heavy: nobody else is held up, and little of them is kept."""

import gzip
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from exporter.http.errors import RequestError
from exporter.model import Stage
from tests.hostile.loop_hold import watching_the_loop
from tests.hostile.project import HELD_MAX, HostileProject, hostile_project
from tests.real.raw_console import close, frame

MIB = 1 << 20
OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True, slots=True)
class Flood:
    """What is sent to which door; ``kept`` is the most memory in MiB that it may take."""

    sender: str
    raw: bytes
    kept: float = 4.0


def body(text: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(text) + text


def packed(text: bytes) -> bytes:
    packed = gzip.compress(text, 9)
    return OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed


def nested(text: bytes) -> bytes:
    return text * (MIB // len(text) - 1)


HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
API, PAGE, SOCKET, LIST = "remote-console-address", "/vnc/", "websockify", "physicalservers?"
FLOODS = {
    "early hints": Flood(API, HINT * 100_000),
    "the shortest of early hints": Flood(API, b"HTTP/1.1 103\r\n\r\n" * 200_000),
    "early hints with headers": Flood(API, (HINT[:-2] + b"A: b\r\n" * 100 + b"\r\n") * 2_000),
    "a header of 64 KiB": Flood(API, OK + b"X: " + b"x" * (63 << 10) + b"\r\n" + body(b"{}")[17:]),
    "a header without end": Flood(API, OK + b"X: " + b"x" * (4 * MIB)),
    "headers without end": Flood(API, OK + b"X: y\r\n" * 500_000),
    "cookies": Flood(PAGE, OK + (b"Set-Cookie: " + b"a=b;" * 15_000 + b"\r\n") * 9 + b"\r\n<a>"),
    "chunks of one byte": Flood(
        API, OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n[\r\n" * 300_000
    ),
    "brackets": Flood(API, body(nested(b"["))),
    "small lists": Flood(API, body(nested(b"[],"))),
    "small objects": Flood(API, body(b"[" + nested(b'{"":[]},') + b"0]")),
    "long numbers": Flood(API, body(b"[" + nested(b"9" * 4300 + b",") + b"0]")),
    "an error of small lists": Flood(API, body(nested(b"[],")).replace(b"200", b"400", 1)),
    "a bomb": Flood(API, packed(bytes(256 * MIB))),
    "a bomb of a page": Flood(PAGE, packed(bytes(256 * MIB)), 12.0),
    "a page of spaces": Flood(PAGE, body(b" " * (4 * MIB)), 16.0),
    "a bomb of a list": Flood(LIST, packed(b'{"servers":[' + b"[]," * (4 * MIB) + b"0]}"), 24.0),
    "a list of small objects": Flood(
        LIST, body(b'{"servers":[' + b'{"":[]},' * (MIB - 4) + b"0]}"), 40.0
    ),
    "pings": Flood(SOCKET, frame(b"", 9) * 200_000),
    "empty messages": Flood(SOCKET, frame(b"") * 200_000),
    "beginnings": Flood(SOCKET, frame(b"R") * 100_000),
    "pieces of a message": Flood(
        SOCKET, frame(b"", final=False) + frame(b"", 0, final=False) * 99_999
    ),
    "closes": Flood(SOCKET, close(1000) * 50_000),
}


async def meet(project: HostileProject, flood: Flood) -> Callable[[], Awaitable[object]]:
    """Return what asks at the flood's door."""

    async def lists() -> object:
        try:
            return await project.client.list_servers(manage_state=None, timeout=1.0)
        except RequestError as error:
            return error

    async def probes() -> object:
        return await project.probe(Stage.PAGE if flood.sender == PAGE else Stage.RFB)

    if flood.sender == SOCKET:
        project.speaks, project.then = flood.raw, "stays"
    else:
        project.says, project.then = {flood.sender: flood.raw}, "serves"
    return lists if flood.sender == LIST else probes


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_a_flood_holds_nobody_up_and_little_of_it_is_kept(flood: Flood) -> None:
    async with hostile_project() as project:
        ask = await meet(project, flood)
        # Once for what is made once.
        await ask()
        async with watching_the_loop() as held:
            await ask()
        # Tracing takes several times as long.
        project.held_max = 1.0
        tracemalloc.start()
        try:
            await ask()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert held.longest < HELD_MAX
    assert peak < flood.kept * MIB
