"""Each kind of fault, as it looks on the wire."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import pytest

from exporter.simulator import Simulator, parse_scenario, running_simulator
from exporter.simulator.clock import Clock
from exporter.simulator.scenario import Fault, FaultKind, Operation, Shape

Ask = Callable[..., Awaitable[httpx.Response]]
_PATH = "/v1/0123456789abcdef0123456789abcdef/physicalservers/id-1/remote-console-address"


class MovedClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


@pytest.fixture
async def token(simulator: Simulator, log_in: Ask) -> str:
    return str((await log_in(simulator)).headers["X-Subject-Token"])


async def _send(
    simulator: Simulator, token: str
) -> tuple[asyncio.StreamReader, Callable[[], None]]:
    """Ask over a bare socket, as nothing but a socket shows how a connection ends."""
    address = urlsplit(simulator.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(f"GET {_PATH} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {token}\r\n\r\n".encode())
    return reader, writer.close


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(FaultKind.STATUS, status=404), "iMetal.0100"),
        (Fault(FaultKind.STATUS, status=400, error_code="iMetal.0101"), "iMetal.0101"),
        (Fault(FaultKind.STATUS, status=400), "iMetal.0001"),
        (Fault(FaultKind.STATUS, status=401), "APIGW.0301"),
        (Fault(FaultKind.STATUS, status=403), "iMetal.0004"),
        (Fault(FaultKind.STATUS, status=429), "APIGW.0308"),
        (Fault(FaultKind.STATUS, status=500), "iMetal.0099"),
        (Fault(FaultKind.STATUS, status=503), "APIGW.0613"),
    ],
)
async def test_a_status_comes_with_the_code_that_the_cloud_gives_it(
    simulator: Simulator, ask: Ask, fault: Fault, code: str
) -> None:
    simulator.add_fault(fault)
    answer = await ask(simulator)
    assert answer.status_code == fault.status
    assert answer.json()["error_code"] == code
    assert answer.json()["error_msg"]
    assert answer.headers["X-Request-Id"]
    assert float(answer.headers["X-Simulated-Held-Seconds"]) >= 0
    assert simulator.counts["alpha", "remote_console", str(fault.status)] == 1


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (Shape.SNAKE, {"error_code": "iMetal.0099", "error_msg": "Internal server error."}),
        (Shape.CAMEL, {"errorCode": "iMetal.0099", "errorMsg": "Internal server error."}),
        (Shape.SHORT, {"code": "iMetal.0099", "message": "Internal server error."}),
        (
            Shape.NESTED,
            {
                "error": {
                    "code": "iMetal.0099",
                    "message": "Internal server error.",
                    "title": "Internal Server Error",
                }
            },
        ),
    ],
)
async def test_an_error_comes_in_each_of_the_shapes_in_use(
    simulator: Simulator, ask: Ask, shape: Shape, body: object
) -> None:
    simulator.add_fault(Fault(FaultKind.STATUS, status=500, shape=shape))
    assert (await ask(simulator)).json() == body


async def test_an_error_comes_as_text_or_without_a_body(simulator: Simulator, ask: Ask) -> None:
    simulator.set_faults([Fault(FaultKind.STATUS, status=500, shape=Shape.TEXT)])
    assert (await ask(simulator)).text == "iMetal.0099 Internal server error.\n"
    simulator.set_faults([Fault(FaultKind.STATUS, status=500, shape=Shape.EMPTY)])
    answer = await ask(simulator)
    assert (answer.status_code, answer.content) == (500, b"")


async def test_a_log_in_fails_in_the_shape_of_iam(simulator: Simulator, log_in: Ask) -> None:
    simulator.add_fault(
        Fault(FaultKind.STATUS, status=500, operation=Operation.CREATE_TOKEN, project="alpha")
    )
    answer = await log_in(simulator)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, 500)


async def test_only_the_servers_that_are_struck_fail(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(FaultKind.STATUS, status=500, servers="db-01"))
    assert (await ask(simulator)).status_code == 500
    assert (await ask(simulator, "/id-2/remote-console-address")).status_code == 200
    assert (await ask(simulator, "")).status_code == 200


async def test_a_fault_of_the_list_strikes_the_list(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(FaultKind.BAD_JSON, operation=Operation.LIST_SERVERS))
    with pytest.raises(json.JSONDecodeError):
        (await ask(simulator, "")).json()
    assert (await ask(simulator)).json()["url"]


async def test_a_slow_answer_is_right_and_late(
    simulator: Simulator, ask: Ask, token: str, clock: MovedClock
) -> None:
    simulator.add_fault(Fault(FaultKind.SLOW, seconds=3))
    waiting = asyncio.ensure_future(ask(simulator, token=token))
    while not waiting.done():
        await asyncio.sleep(0.01)
        await clock.advance(1)
    assert waiting.result().json()["url"]
    assert float(waiting.result().headers["X-Simulated-Held-Seconds"]) == pytest.approx(3)


async def test_who_is_hung_up_on_waits_for_ever(simulator: Simulator, token: str) -> None:
    simulator.add_fault(Fault(FaultKind.HANG))
    reader, close = await _send(simulator, token)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.3)
    assert simulator.counts == {("alpha", "create_token", "201"): 1}
    close()
    for _ in range(100):
        if simulator.counts.total() > 1:
            break
        await asyncio.sleep(0.01)
    assert simulator.counts["alpha", "remote_console", "none"] == 1


async def test_a_reset_comes_before_any_answer(simulator: Simulator, token: str) -> None:
    simulator.add_fault(Fault(FaultKind.RESET))
    reader, close = await _send(simulator, token)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    close()
    assert simulator.counts["alpha", "remote_console", "none"] == 1


async def test_garbage_is_no_http(simulator: Simulator, token: str, ask: Ask) -> None:
    simulator.add_fault(Fault(FaultKind.GARBAGE))
    reader, close = await _send(simulator, token)
    assert await reader.read() == b"SSH-2.0-OpenSSH_9.2\r\n"
    close()
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(simulator, token=token)


async def test_a_body_is_cut_in_its_middle(simulator: Simulator, token: str, ask: Ask) -> None:
    simulator.add_fault(Fault(FaultKind.CUT))
    reader, close = await _send(simulator, token)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    close()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body.startswith(b'{"url":"http://')
    stated = next(
        line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    assert 0 < len(body) < int(stated.split(b":")[1])
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(simulator, token=token)
    assert simulator.counts["alpha", "remote_console", "200"] == 2


async def test_a_page_for_people_comes_with_200(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(FaultKind.HTML))
    answer = await ask(simulator)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


async def test_nothing_comes_with_200(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(FaultKind.EMPTY))
    answer = await ask(simulator)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_half_a_document_comes_whole(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(FaultKind.BAD_JSON))
    answer = await ask(simulator)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_an_endless_body_goes_on_past_any_bound(
    simulator: Simulator, client: httpx.AsyncClient, token: str
) -> None:
    simulator.add_fault(Fault(FaultKind.ENDLESS))
    url = simulator.url + _PATH
    async with client.stream("GET", url, headers={"X-Auth-Token": token}) as answer:
        assert answer.status_code == 200
        assert "Content-Length" not in answer.headers
        read = 0
        async for chunk in answer.aiter_bytes():
            read += len(chunk)
            if read > 4 << 20:
                break
    assert read > 4 << 20


async def test_a_bomb_is_small_and_unpacks_to_64_mib(
    simulator: Simulator, client: httpx.AsyncClient, token: str
) -> None:
    simulator.add_fault(Fault(FaultKind.GZIP_BOMB))
    url = simulator.url + _PATH
    async with client.stream("GET", url, headers={"X-Auth-Token": token}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert len(packed) < 1 << 20
    unpacked = gzip.decompress(packed)
    assert len(unpacked) > 64 << 20
    assert unpacked.startswith(b'{"url":')
    assert zlib.decompressobj(31).decompress(packed, 10) == b'{"url":"\0\0'


@pytest.mark.parametrize("target", [None, "http://127.0.0.1:9/else"])
async def test_a_redirect_points_to_another_host(
    simulator: Simulator, ask: Ask, target: str | None
) -> None:
    simulator.add_fault(Fault(FaultKind.REDIRECT, url=target))
    answer = await ask(simulator)
    assert answer.status_code == 302
    assert answer.headers["Location"] == (target or "http://elsewhere.invalid/")


@pytest.mark.parametrize("url", [None, "ftp://example.com/", 'quoted " and \\'])
async def test_a_bad_address_comes_in_good_json(
    simulator: Simulator, ask: Ask, url: str | None
) -> None:
    simulator.add_fault(Fault(FaultKind.BAD_URL, url=url))
    assert (await ask(simulator)).json() == {"url": url or "javascript:alert(document.cookie)"}


async def test_faults_are_for_whom_the_gateway_let_in(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(FaultKind.HANG))
    assert (await ask(simulator, token="guessed")).status_code == 401


async def test_the_end_does_not_wait_for_who_is_hung_up_on(
    document: dict[str, Any], log_in: Ask
) -> None:
    document["faults"] = [{"kind": "hang"}]
    async with running_simulator(parse_scenario(document)) as simulator:
        token = (await log_in(simulator)).headers["X-Subject-Token"]
        reader, close = await _send(simulator, token)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        ending = time.monotonic()
    assert time.monotonic() - ending < 5
    assert await reader.read() == b""
    close()
