"""The web server on a real socket."""

from statistics import median
from time import perf_counter

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.real.web_server import serving

REQUESTS = 20


async def ok(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def test_keep_alive_responses_do_not_wait_for_a_delayed_ack() -> None:
    async with serving(Starlette(routes=[Route("/", ok)])) as served:
        url = f"http://127.0.0.1:{served.port}/"
        async with httpx.AsyncClient() as client:
            await client.get(url)
            took = []
            for _ in range(REQUESTS):
                started = perf_counter()
                assert (await client.get(url)).text == "ok\n"
                took.append(perf_counter() - started)
    # With a delayed ACK each would take 40 ms.
    assert median(took) < 0.02
