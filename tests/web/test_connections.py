"""Limits of connections: deadlines of each step, and the maximum number."""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from exporter.web.connections import DEFAULT_LIMITS, Connection, Limits
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.web_server import serving

QUICK = Limits(connections=8, handshake=0.3, request=0.3, response=0.6, stalled=0.3)
TIMEOUT = 8.0
"""Seconds; shorter than any default limit."""
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def endless(_request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    return StreamingResponse(pieces())


async def slow(_request: Request) -> Response:
    await asyncio.sleep(0.45)
    return PlainTextResponse("slow")


async def never(_request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


async def posted(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


APP = Starlette(
    routes=[
        Route("/", hello),
        Route("/endless", endless),
        Route("/slow", slow),
        Route("/never", never),
        Route("/posted", posted, methods=["POST"]),
    ],
    max_body_size=100_000,
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connected(port: int, address: str = "127.0.0.1") -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def seconds_to_the_end(reader: asyncio.StreamReader) -> float:
    began = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(9):
            while await reader.read(65536):
                pass
    return time.monotonic() - began


@retry_if_machine_stalled
async def test_silent_client_is_disconnected() -> None:
    async with serving(APP, limits=QUICK) as server, connected(server.port) as (reader, _):
        assert 0.2 < await seconds_to_the_end(reader) < TIMEOUT


@retry_if_machine_stalled
async def test_client_that_sends_its_header_slowly_is_disconnected() -> None:
    async with serving(APP, limits=QUICK) as server, connected(server.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        ending = asyncio.create_task(seconds_to_the_end(reader))
        for number in range(50):
            writer.write(f"X-{number}: y\r\n".encode())
            await asyncio.sleep(0.02)
            if ending.done():
                break
        assert 0.2 < await ending < TIMEOUT


@retry_if_machine_stalled
async def test_keep_alive_connection_has_a_new_deadline_for_each_request() -> None:
    limits = replace(QUICK, request=1.0)
    async with serving(APP, limits=limits) as server, connected(server.port) as (reader, writer):
        for _ in range(4):
            writer.write(GET)
            assert b"200 OK" in await reader.readuntil(b"hello")
            await asyncio.sleep(0.4)
        assert await seconds_to_the_end(reader) < TIMEOUT


async def test_response_may_take_longer_than_the_request_deadline() -> None:
    limits = replace(QUICK, response=30.0)
    async with serving(APP, limits=limits) as server, connected(server.port) as (reader, writer):
        writer.write(GET.replace(b"/ ", b"/slow ", 1))
        assert b"200 OK" in await reader.readuntil(b"slow")


async def test_all_pipelined_requests_are_answered() -> None:
    limits = replace(QUICK, response=30.0)
    async with serving(APP, limits=limits) as server, connected(server.port) as (reader, writer):
        writer.write(GET + GET.replace(b"/ ", b"/slow ", 1) + GET)
        await reader.readuntil(b"hello")
        await reader.readuntil(b"slow")
        await reader.readuntil(b"hello")


@retry_if_machine_stalled
async def test_response_that_never_ends_is_aborted() -> None:
    async with serving(APP, limits=QUICK) as server, connected(server.port) as (reader, writer):
        writer.write(GET.replace(b"/ ", b"/never ", 1))
        assert 0.4 < await seconds_to_the_end(reader) < TIMEOUT


async def test_client_that_does_not_read_its_response_is_disconnected() -> None:
    async with serving(APP, limits=QUICK) as server, connected(server.port) as (reader, writer):
        writer.write(GET.replace(b"/ ", b"/endless ", 1))
        await reader.read(1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        # Data in the kernel's buffers still arrives, and then no more.
        assert await seconds_to_the_end(reader) < TIMEOUT


async def test_unread_request_body_does_not_keep_a_connection_open() -> None:
    async with serving(APP, limits=QUICK) as server, connected(server.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        ending = asyncio.create_task(seconds_to_the_end(reader))
        with contextlib.suppress(OSError):
            for _ in range(200):
                writer.write(b"4\r\nabcd\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
                if ending.done():
                    break
        assert await ending < TIMEOUT


async def test_endless_request_body_is_rejected() -> None:
    async with serving(APP) as server, connected(server.port) as (reader, writer):
        writer.write(b"POST /posted HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        assert b"413" in await reader.readuntil(b"\r\n")


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 40_000,
        b"GET /" + b"x" * 40_000,
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 8_000,
        b"\x16\x03\x01\x02\x00nonsense\r\n\r\n",
    ],
)
async def test_endless_header_and_invalid_request_get_400_and_are_not_logged(
    request_text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with serving(APP) as server, connected(server.port) as (reader, writer):
            writer.write(request_text)
            assert b"400" in await reader.readuntil(b"\r\n")
    assert not [one for one in caplog.records if one.name.startswith("uvicorn")]


@retry_if_machine_stalled
async def test_flood_of_connections_does_not_affect_another_client() -> None:
    async with contextlib.AsyncExitStack() as open_:
        server = await open_.enter_async_context(
            serving(APP, limits=Limits(connections=8, request=30))
        )
        reader, writer = await open_.enter_async_context(connected(server.port, "127.0.0.2"))
        flood = [await open_.enter_async_context(connected(server.port)) for _ in range(40)]
        # Accepting takes some iterations of the event loop.
        await asyncio.sleep(0.2)
        writer.write(GET)
        assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"hello"), TIMEOUT)
        new_client = await open_.enter_async_context(connected(server.port, "127.0.0.3"))
        new_client[1].write(GET)
        assert b"200 OK" in await asyncio.wait_for(new_client[0].readuntil(b"hello"), TIMEOUT)
        await asyncio.sleep(0)
        closed = [reader for reader, _ in flood if reader.at_eof() or reader.exception()]
        assert len(closed) >= 40 - 8


@retry_if_machine_stalled
async def test_idle_connections_are_closed_before_busy_ones() -> None:
    async with contextlib.AsyncExitStack() as open_:
        server = await open_.enter_async_context(
            serving(APP, limits=Limits(connections=4, request=30))
        )
        reader, writer = await open_.enter_async_context(connected(server.port))
        writer.write(GET.replace(b"/ ", b"/slow ", 1))
        await asyncio.sleep(0.1)
        for _ in range(8):
            await open_.enter_async_context(connected(server.port))
        assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"slow"), TIMEOUT)


def test_response_deadline_is_longer_than_the_longest_probe_on_demand() -> None:
    assert DEFAULT_LIMITS.response > 120


@pytest.mark.usefixtures("no_collector")
async def test_closed_connection_is_released() -> None:
    async with serving(APP) as server:
        for _ in range(3):
            async with connected(server.port) as (reader, writer):
                writer.write(GET)
                assert b"200 OK" in await reader.readuntil(b"hello")
        async with asyncio.timeout(5):
            while any(isinstance(one, Connection) for one in gc.get_objects()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
