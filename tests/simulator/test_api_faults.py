"""Faults of the API as a client sees them."""

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

from exporter.clock import Clock
from exporter.simulator import Simulator, parse_scenario, running_simulator
from exporter.simulator.scenario import Fault, FaultKind, Operation, Shape
from exporter.simulator.section import parse

Ask = Callable[..., Awaitable[httpx.Response]]
_PATH = "/v1/0123456789abcdef0123456789abcdef/physicalservers/id-1/remote-console-address"


class FakeClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


@pytest.fixture
async def token(simulator: Simulator, log_in: Ask) -> str:
    return str((await log_in(simulator)).headers["X-Subject-Token"])


async def _send(
    simulator: Simulator, token: str
) -> tuple[asyncio.StreamReader, Callable[[], None]]:
    """Send a request over a raw socket, which shows how the connection ends."""
    address = urlsplit(simulator.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(f"GET {_PATH} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {token}\r\n\r\n".encode())
    return reader, writer.close


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(kind=FaultKind.STATUS, status=404), "iMetal.0100"),
        (Fault(kind=FaultKind.STATUS, status=400, error_code="iMetal.0101"), "iMetal.0101"),
        (Fault(kind=FaultKind.STATUS, status=400), "iMetal.0001"),
        (Fault(kind=FaultKind.STATUS, status=401), "APIGW.0301"),
        (Fault(kind=FaultKind.STATUS, status=403), "iMetal.0004"),
        (Fault(kind=FaultKind.STATUS, status=429), "APIGW.0308"),
        (Fault(kind=FaultKind.STATUS, status=500), "iMetal.0099"),
        (Fault(kind=FaultKind.STATUS, status=503), "APIGW.0613"),
    ],
)
async def test_status_fault_has_the_clouds_error_code(
    simulator: Simulator, ask: Ask, fault: Fault, code: str
) -> None:
    simulator.add_fault(fault)
    response = await ask(simulator)
    assert response.status_code == fault.status
    assert response.json()["error_code"] == code
    assert response.json()["error_msg"]
    assert response.headers["X-Request-Id"]
    assert float(response.headers["X-Simulated-Held-Seconds"]) >= 0
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
async def test_error_body_has_the_requested_shape(
    simulator: Simulator, ask: Ask, shape: Shape, body: object
) -> None:
    simulator.add_fault(Fault(kind=FaultKind.STATUS, status=500, shape=shape))
    assert (await ask(simulator)).json() == body


async def test_error_body_can_be_text_or_empty(simulator: Simulator, ask: Ask) -> None:
    simulator.set_faults([Fault(kind=FaultKind.STATUS, status=500, shape=Shape.TEXT)])
    assert (await ask(simulator)).text == "iMetal.0099 Internal server error.\n"
    simulator.set_faults([Fault(kind=FaultKind.STATUS, status=500, shape=Shape.EMPTY)])
    response = await ask(simulator)
    assert (response.status_code, response.content) == (500, b"")


async def test_login_error_has_the_iam_shape(simulator: Simulator, log_in: Ask) -> None:
    simulator.add_fault(
        Fault(kind=FaultKind.STATUS, status=500, operation=Operation.CREATE_TOKEN, project="alpha")
    )
    response = await log_in(simulator)
    assert (response.status_code, response.json()["error"]["code"]) == (500, 500)


async def test_fault_affects_only_matching_servers(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(kind=FaultKind.STATUS, status=500, servers="db-01"))
    assert (await ask(simulator)).status_code == 500
    assert (await ask(simulator, "/id-2/remote-console-address")).status_code == 200
    assert (await ask(simulator, "")).status_code == 200


async def test_list_fault_affects_only_the_list(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(kind=FaultKind.BAD_JSON, operation=Operation.LIST_SERVERS))
    with pytest.raises(json.JSONDecodeError):
        (await ask(simulator, "")).json()
    assert (await ask(simulator)).json()["url"]


async def test_slow_response_is_correct_and_delayed(
    simulator: Simulator, ask: Ask, token: str, clock: FakeClock
) -> None:
    simulator.add_fault(Fault(kind=FaultKind.SLOW, seconds=3))
    waiting = asyncio.ensure_future(ask(simulator, token=token))
    while not waiting.done():
        await asyncio.sleep(0.01)
        await clock.advance(1)
    assert waiting.result().json()["url"]
    assert float(waiting.result().headers["X-Simulated-Held-Seconds"]) == pytest.approx(3)


async def test_hang_sends_no_response(simulator: Simulator, token: str) -> None:
    simulator.add_fault(Fault(kind=FaultKind.HANG))
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


async def test_reset_comes_before_any_response(simulator: Simulator, token: str) -> None:
    simulator.add_fault(Fault(kind=FaultKind.RESET))
    reader, close = await _send(simulator, token)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    close()
    assert simulator.counts["alpha", "remote_console", "none"] == 1


async def test_garbage_is_not_http(simulator: Simulator, token: str, ask: Ask) -> None:
    simulator.add_fault(Fault(kind=FaultKind.GARBAGE))
    reader, close = await _send(simulator, token)
    assert await reader.read() == b"SSH-2.0-OpenSSH_9.2\r\n"
    close()
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(simulator, token=token)


async def test_cut_ends_the_connection_in_the_middle_of_the_body(
    simulator: Simulator, token: str, ask: Ask
) -> None:
    simulator.add_fault(Fault(kind=FaultKind.CUT))
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


async def test_html_fault_returns_a_page_with_200(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(kind=FaultKind.HTML))
    response = await ask(simulator)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.text.startswith("<!DOCTYPE html>")


async def test_empty_fault_returns_an_empty_body_with_200(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(kind=FaultKind.EMPTY))
    response = await ask(simulator)
    assert (response.status_code, response.content) == (200, b"")


async def test_bad_json_is_a_complete_response_with_half_a_document(
    simulator: Simulator, ask: Ask
) -> None:
    simulator.add_fault(Fault(kind=FaultKind.BAD_JSON))
    response = await ask(simulator)
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        response.json()


async def test_endless_body_exceeds_4_mib(
    simulator: Simulator, client: httpx.AsyncClient, token: str
) -> None:
    simulator.add_fault(Fault(kind=FaultKind.ENDLESS))
    url = simulator.url + _PATH
    async with client.stream("GET", url, headers={"X-Auth-Token": token}) as response:
        assert response.status_code == 200
        assert "Content-Length" not in response.headers
        read = 0
        async for chunk in response.aiter_bytes():
            read += len(chunk)
            if read > 4 << 20:
                break
    assert read > 4 << 20


async def test_gzip_bomb_is_small_and_decompresses_to_64_mib(
    simulator: Simulator, client: httpx.AsyncClient, token: str
) -> None:
    simulator.add_fault(Fault(kind=FaultKind.GZIP_BOMB))
    url = simulator.url + _PATH
    async with client.stream("GET", url, headers={"X-Auth-Token": token}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        compressed = b"".join([chunk async for chunk in response.aiter_raw()])
    assert len(compressed) < 1 << 20
    decompressed = gzip.decompress(compressed)
    assert len(decompressed) > 64 << 20
    assert decompressed.startswith(b'{"url":')
    assert zlib.decompressobj(31).decompress(compressed, 10) == b'{"url":"\0\0'


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/else"])
async def test_redirect_points_to_another_host(simulator: Simulator, ask: Ask, url: str) -> None:
    simulator.add_fault(parse(Fault, {"kind": "redirect", **({"url": url} if url else {})}))
    response = await ask(simulator)
    assert response.status_code == 302
    assert response.headers["Location"] == (url or "http://elsewhere.invalid/")


@pytest.mark.parametrize("url", ["", "ftp://example.com/", 'quoted " and \\'])
async def test_bad_url_is_returned_in_valid_json(simulator: Simulator, ask: Ask, url: str) -> None:
    simulator.add_fault(parse(Fault, {"kind": "bad_url", **({"url": url} if url else {})}))
    assert (await ask(simulator)).json() == {"url": url or "javascript:alert(document.cookie)"}


async def test_faults_apply_only_to_authenticated_requests(simulator: Simulator, ask: Ask) -> None:
    simulator.add_fault(Fault(kind=FaultKind.HANG))
    assert (await ask(simulator, token="guessed")).status_code == 401


async def test_shutdown_does_not_wait_for_hanging_requests(
    document: dict[str, Any], log_in: Ask
) -> None:
    document["faults"] = [{"kind": "hang"}]
    async with running_simulator(parse_scenario(document)) as simulator:
        token = (await log_in(simulator)).headers["X-Subject-Token"]
        reader, close = await _send(simulator, token)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    assert await reader.read() == b""
    close()
