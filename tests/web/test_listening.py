"""The web server on a real socket."""

import asyncio
from time import perf_counter

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.listening import WebServer, listen

REQUESTS = 20


async def ok(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements() -> None:
    with listen("127.0.0.1:0") as listening:
        server = WebServer(Starlette(routes=[Route("/", ok)]))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        async with httpx.AsyncClient() as client:
            await client.get(url)
            started = perf_counter()
            for _ in range(REQUESTS):
                assert (await client.get(url)).text == "ok\n"
            took = perf_counter() - started
        server.should_exit = True
        await serving
    # With the wait it would be 40 ms each.
    assert took < REQUESTS * 0.02
