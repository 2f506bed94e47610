"""Responses are compressed if the client accepts gzip, with the same content."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from exporter.web.compression import Compression

LINES = [b"line %d of a response that comes in pieces\n" % number for number in range(5000)]
LONG = b"".join(LINES)
LONG_SLICES = len(LONG) // (64 * 1024)


async def pieces() -> AsyncIterator[bytes]:
    for line in LINES:
        yield line


async def streamed(_request: Request) -> Response:
    return StreamingResponse(pieces(), media_type="text/plain")


async def whole(_request: Request) -> Response:
    return PlainTextResponse(LONG, headers={"vary": "Accept"})


async def short(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def compressed_already(_request: Request) -> Response:
    return Response(gzip.compress(LONG), headers={"content-encoding": "gzip"})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    application = Starlette(
        routes=[
            Route(f"/{one.__name__}", one) for one in (streamed, whole, short, compressed_already)
        ],
        middleware=[Middleware(Compression)],
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://exporter"
    ) as client:
        yield client


async def raw(client: httpx.AsyncClient, path: str, accept: str) -> tuple[httpx.Response, bytes]:
    async with client.stream("GET", path, headers={"accept-encoding": accept}) as response:
        return response, b"".join([piece async for piece in response.aiter_raw()])


@pytest.mark.parametrize("path", ["/streamed", "/whole"])
async def test_long_response_is_compressed_if_the_client_accepts_gzip(
    client: httpx.AsyncClient, path: str
) -> None:
    response, body = await raw(client, path, "gzip")
    assert response.headers["content-encoding"] == "gzip"
    assert "content-length" not in response.headers
    assert gzip.decompress(body) == LONG
    assert len(body) < len(LONG) / 5


@pytest.mark.parametrize("path", ["/streamed", "/whole"])
async def test_response_is_not_compressed_if_the_client_rejects_gzip(
    client: httpx.AsyncClient, path: str
) -> None:
    response, body = await raw(client, path, "gzip;q=0")
    assert "content-encoding" not in response.headers
    assert body == LONG


async def test_short_response_is_not_compressed(client: httpx.AsyncClient) -> None:
    response, body = await raw(client, "/short", "gzip")
    assert "content-encoding" not in response.headers
    assert (response.headers["content-length"], body) == ("3", b"ok\n")


async def test_compressed_response_is_not_compressed_again(client: httpx.AsyncClient) -> None:
    _, body = await raw(client, "/compressed_already", "gzip")
    assert gzip.decompress(body) == LONG


@pytest.mark.parametrize(
    ("path", "vary"), [("/short", "Accept-Encoding"), ("/whole", "Accept, Accept-Encoding")]
)
async def test_vary_header_names_accept_encoding(
    client: httpx.AsyncClient, path: str, vary: str
) -> None:
    assert (await client.get(path)).headers["vary"] == vary


@pytest.mark.parametrize(("path", "least"), [("/streamed", len(LINES)), ("/whole", LONG_SLICES)])
async def test_event_loop_runs_between_slices(
    client: httpx.AsyncClient, path: str, least: int
) -> None:
    runs = 0

    async def other_task() -> None:
        nonlocal runs
        while True:
            runs += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other_task())
    await raw(client, path, "gzip")
    task.cancel()
    assert runs >= least


async def test_disconnect_during_a_response_does_not_affect_the_next_one(
    client: httpx.AsyncClient,
) -> None:
    async with client.stream("GET", "/streamed", headers={"accept-encoding": "gzip"}) as response:
        await anext(response.aiter_raw())
    _, body = await raw(client, "/streamed", "gzip")
    assert gzip.decompress(body) == LONG


async def test_concurrent_responses_are_compressed_independently(client: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(raw(client, "/streamed", "gzip") for _ in range(5)))
    assert {gzip.decompress(body) for _, body in responses} == {LONG}
