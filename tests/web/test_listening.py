"""The web server over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from statistics import median
from time import perf_counter

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from exporter.web.listening import WebServer, listen


async def in_pieces(_request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(0)
        yield b"two"

    return StreamingResponse(pieces())


async def test_no_answer_on_a_kept_connection_waits_for_an_acknowledgement() -> None:
    with listen("127.0.0.1:0") as listening:
        server = WebServer(Starlette(routes=[Route("/", in_pieces)]))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        port = listening.getsockname()[1]
        times = []
        async with httpx.AsyncClient() as client:
            for _ in range(20):
                started = perf_counter()
                assert (await client.get(f"http://127.0.0.1:{port}/")).text == "onetwo"
                times.append(perf_counter() - started)
        server.should_exit = True
        await serving
    # Held back, each would take the 40 ms after which Linux acknowledges on its own.
    assert median(times) < 0.03
