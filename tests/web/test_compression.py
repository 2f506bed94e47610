"""Every answer is compressed for who takes gzip, and the same for who does not."""

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

LINES = [b"line %d of an answer that comes in pieces\n" % number for number in range(5000)]
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


async def packed_already(_request: Request) -> Response:
    return Response(gzip.compress(LONG), headers={"content-encoding": "gzip"})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    application = Starlette(
        routes=[Route(f"/{one.__name__}", one) for one in (streamed, whole, short, packed_already)],
        middleware=[Middleware(Compression)],
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://exporter"
    ) as client:
        yield client


async def raw(client: httpx.AsyncClient, path: str, accept: str) -> tuple[httpx.Response, bytes]:
    async with client.stream("GET", path, headers={"accept-encoding": accept}) as answer:
        return answer, b"".join([piece async for piece in answer.aiter_raw()])


@pytest.mark.parametrize("path", ["/streamed", "/whole"])
async def test_a_long_answer_is_compressed_for_who_takes_gzip(
    client: httpx.AsyncClient, path: str
) -> None:
    answer, body = await raw(client, path, "gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert "content-length" not in answer.headers
    assert gzip.decompress(body) == LONG
    assert len(body) < len(LONG) / 5


@pytest.mark.parametrize("path", ["/streamed", "/whole"])
async def test_it_is_plain_for_all_others(client: httpx.AsyncClient, path: str) -> None:
    answer, body = await raw(client, path, "gzip;q=0")
    assert "content-encoding" not in answer.headers
    assert body == LONG


async def test_a_short_answer_stays_plain(client: httpx.AsyncClient) -> None:
    answer, body = await raw(client, "/short", "gzip")
    assert "content-encoding" not in answer.headers
    assert (answer.headers["content-length"], body) == ("3", b"ok\n")


async def test_what_is_compressed_already_stays_as_it_is(client: httpx.AsyncClient) -> None:
    _, body = await raw(client, "/packed_already", "gzip")
    assert gzip.decompress(body) == LONG


@pytest.mark.parametrize(
    ("path", "vary"), [("/short", "Accept-Encoding"), ("/whole", "Accept, Accept-Encoding")]
)
async def test_caches_are_told_what_the_answer_depends_on(
    client: httpx.AsyncClient, path: str, vary: str
) -> None:
    assert (await client.get(path)).headers["vary"] == vary


@pytest.mark.parametrize(("path", "least"), [("/streamed", len(LINES)), ("/whole", LONG_SLICES)])
async def test_the_event_loop_runs_between_slices(
    client: httpx.AsyncClient, path: str, least: int
) -> None:
    runs = 0

    async def all_else() -> None:
        nonlocal runs
        while True:
            runs += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(all_else())
    await raw(client, path, "gzip")
    task.cancel()
    assert runs >= least


async def test_a_client_that_leaves_midway_does_no_harm(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/streamed", headers={"accept-encoding": "gzip"}) as answer:
        await anext(answer.aiter_raw())
    _, body = await raw(client, "/streamed", "gzip")
    assert gzip.decompress(body) == LONG


async def test_answers_are_compressed_side_by_side(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(raw(client, "/streamed", "gzip") for _ in range(5)))
    assert {gzip.decompress(body) for _, body in answers} == {LONG}
