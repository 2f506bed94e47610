"""Faults of consoles as a client sees them."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import aiohttp
import httpx
import pytest
import trustme
from aiohttp import WSMsgType
from yarl import URL

from exporter.simulator import Simulator, parse_scenario, running_simulator
from exporter.simulator.clock import Clock
from exporter.simulator.scenario import Fault, FaultKind, Operation

RequestAddress = Callable[..., Awaitable[URL]]
View = Callable[..., Awaitable[aiohttp.ClientWebSocketResponse]]
_VERSION = b"RFB 003.008\n"


class FakeClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


async def _advance_until_done(waiting: Awaitable[Any], clock: FakeClock) -> Any:
    """Advance the clock second by second until the awaitable is done; return its result."""
    task = asyncio.ensure_future(waiting)
    while not task.done():
        await asyncio.sleep(0.005)
        await clock.advance(1)
    return task.result()


async def _wait_until_counted(simulator: Simulator, operation: str, status: str) -> None:
    for _ in range(200):
        if simulator.counts["alpha", operation, status]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{operation} {status} is not in {simulator.counts}")


def _page(kind: FaultKind, **details: Any) -> Fault:
    return Fault(kind, operation=Operation.CONSOLE_PAGE, **details)


def _websocket(kind: FaultKind, **details: Any) -> Fault:
    return Fault(kind, operation=Operation.CONSOLE_WEBSOCKET, **details)


def _rfb(kind: FaultKind, **details: Any) -> Fault:
    return Fault(kind, operation=Operation.CONSOLE_RFB, **details)


@pytest.mark.parametrize("status", [404, 499, 502])
async def test_page_error_is_an_html_page(
    simulator: Simulator,
    request_address: RequestAddress,
    browser: aiohttp.ClientSession,
    status: int,
) -> None:
    simulator.add_fault(_page(FaultKind.STATUS, status=status))
    async with browser.get(await request_address(simulator)) as response:
        assert response.status == status
        assert response.headers["Content-Type"].startswith("text/html")
        assert str(status) in await response.text()
    assert simulator.counts["alpha", "console_page", str(status)] == 1


async def test_page_is_delayed(
    simulator: Simulator,
    request_address: RequestAddress,
    browser: aiohttp.ClientSession,
    clock: FakeClock,
) -> None:
    simulator.add_fault(_page(FaultKind.SLOW, seconds=30))
    address = await request_address(simulator)
    began = clock.monotonic()
    response = await _advance_until_done(browser.get(address), clock)
    assert response.status == 200
    assert clock.monotonic() - began >= 30


async def test_page_redirects(
    simulator: Simulator, request_address: RequestAddress, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.REDIRECT, url="http://127.0.0.1:9/else"))
    async with browser.get(await request_address(simulator), allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "http://127.0.0.1:9/else")


async def test_page_has_another_content_type(
    simulator: Simulator, request_address: RequestAddress, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.CONTENT_TYPE))
    async with browser.get(await request_address(simulator)) as response:
        assert (response.status, response.content_type) == (200, "application/octet-stream")
        assert (await response.read()).startswith(b"<!DOCTYPE html>")


async def test_page_is_empty(
    simulator: Simulator, request_address: RequestAddress, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.EMPTY))
    async with browser.get(await request_address(simulator)) as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_page_is_endless(
    simulator: Simulator, request_address: RequestAddress, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.ENDLESS))
    async with browser.get(await request_address(simulator)) as response:
        assert response.content_type == "text/html"
        assert len(await response.content.readexactly(4 << 20)) == 4 << 20


async def test_page_is_cut(
    simulator: Simulator, request_address: RequestAddress, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.CUT))
    async with browser.get(await request_address(simulator)) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.RESET, aiohttp.ClientOSError),
        (FaultKind.DROP, aiohttp.ServerDisconnectedError),
        (FaultKind.GARBAGE, aiohttp.ClientResponseError),
        (FaultKind.HANG, TimeoutError),
    ],
)
async def test_page_request_gets_no_response(
    simulator: Simulator,
    request_address: RequestAddress,
    browser: aiohttp.ClientSession,
    kind: FaultKind,
    error: type[Exception],
) -> None:
    simulator.add_fault(_page(kind))
    address = await request_address(simulator)
    with pytest.raises(error):
        await browser.get(address, timeout=aiohttp.ClientTimeout(_client_timeout(kind)))
    await _wait_until_counted(simulator, "console_page", "none")


def _client_timeout(kind: FaultKind) -> float:
    """Return the timeout of the client in seconds."""
    return 0.2 if kind is FaultKind.HANG else 10


@pytest.mark.parametrize("status", [400, 403, 502])
async def test_websocket_is_rejected(
    simulator: Simulator, request_address: RequestAddress, view: View, status: int
) -> None:
    simulator.add_fault(_websocket(FaultKind.STATUS, status=status))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await view(await request_address(simulator))
    assert caught.value.status == status
    assert simulator.counts["alpha", "console_websocket", str(status)] == 1


async def test_no_upgrade_returns_a_page_instead_of_a_websocket(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_websocket(FaultKind.NO_UPGRADE))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await view(await request_address(simulator))
    assert caught.value.status == 200
    assert caught.value.headers
    assert caught.value.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.RESET, aiohttp.ClientOSError),
        (FaultKind.DROP, aiohttp.ServerDisconnectedError),
        (FaultKind.GARBAGE, aiohttp.ClientResponseError),
        (FaultKind.HANG, TimeoutError),
    ],
)
async def test_websocket_handshake_gets_no_response(
    simulator: Simulator,
    request_address: RequestAddress,
    view: View,
    kind: FaultKind,
    error: type[Exception],
) -> None:
    simulator.add_fault(_websocket(kind))
    address = await request_address(simulator)
    with pytest.raises(error):
        await asyncio.wait_for(view(address), _client_timeout(kind))
    await _wait_until_counted(simulator, "console_websocket", "none")


async def test_websocket_is_delayed(
    simulator: Simulator, request_address: RequestAddress, view: View, clock: FakeClock
) -> None:
    simulator.add_fault(_websocket(FaultKind.SLOW, seconds=30))
    address = await request_address(simulator)
    began = clock.monotonic()
    socket = await _advance_until_done(view(address), clock)
    assert clock.monotonic() - began >= 30
    assert (await socket.receive()).data == _VERSION
    await socket.close()


async def test_faults_of_each_stage_affect_only_matching_servers(
    simulator: Simulator,
    request_address: RequestAddress,
    view: View,
    browser: aiohttp.ClientSession,
) -> None:
    simulator.set_faults(
        [
            _page(FaultKind.STATUS, status=502, servers="db-01", project="alpha"),
            _websocket(FaultKind.STATUS, status=502, servers="db-02"),
            _rfb(FaultKind.CLOSE, servers="id-3"),
        ]
    )
    pages: list[int] = []
    first_messages: list[WSMsgType | None] = []
    for server in ("id-1", "id-2", "id-3"):
        address = await request_address(simulator, server)
        async with browser.get(address) as response:
            pages.append(response.status)
        try:
            socket = await view(address, "/websockify")
        except aiohttp.WSServerHandshakeError:
            first_messages.append(None)
        else:
            first_messages.append((await socket.receive()).type)
            await socket.close()
    assert pages == [502, 200, 200]
    assert first_messages == [WSMsgType.BINARY, None, WSMsgType.CLOSE]


@pytest.mark.parametrize("code", [1011, 1000, 4404])
async def test_websocket_is_closed_before_the_first_byte(
    simulator: Simulator, request_address: RequestAddress, view: View, code: int
) -> None:
    simulator.add_fault(_rfb(FaultKind.CLOSE, code=code))
    socket = await view(await request_address(simulator))
    message = await socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, code)
    await _wait_until_counted(simulator, "console_rfb", str(code))
    assert simulator.counts["alpha", "console_websocket", "101"] == 1


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.DROP])
async def test_websocket_ends_without_a_close_frame(
    simulator: Simulator, request_address: RequestAddress, view: View, kind: FaultKind
) -> None:
    simulator.add_fault(_rfb(kind))
    socket = await view(await request_address(simulator))
    assert (await socket.receive()).type in {WSMsgType.CLOSED, WSMsgType.ERROR}
    assert socket.close_code == 1006
    await _wait_until_counted(simulator, "console_rfb", "none")


async def test_hang_sends_no_bytes(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.HANG))
    socket = await view(await request_address(simulator))
    receiving = asyncio.ensure_future(socket.receive())
    await asyncio.wait({receiving}, timeout=0.1)
    assert not receiving.done()
    await socket.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_first_bytes_are_delayed(
    simulator: Simulator, request_address: RequestAddress, view: View, clock: FakeClock
) -> None:
    simulator.add_fault(_rfb(FaultKind.SLOW, seconds=30))
    socket = await view(await request_address(simulator))
    began = clock.monotonic()
    assert (await _advance_until_done(socket.receive(), clock)).data == _VERSION
    assert clock.monotonic() - began >= 30
    await socket.close()


async def test_viewer_can_close_while_the_first_bytes_are_delayed(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.SLOW, seconds=30))
    socket = await view(await request_address(simulator))
    await socket.close()
    assert socket.close_code == 1000
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_garbage_is_not_rfb(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.GARBAGE))
    socket = await view(await request_address(simulator))
    assert (await socket.receive()).data.startswith(b"SSH-2.0-")
    await socket.close()


async def test_endless_sends_10_mib_of_zeros(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.ENDLESS))
    socket = await view(await request_address(simulator))
    read = 0
    while read < 10 << 20:
        data = (await socket.receive(timeout=5)).data
        assert not data.strip(b"\0")
        read += len(data)
    await socket.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_viewer_can_close_while_endless_bytes_are_sent(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.ENDLESS))
    socket = await view(await request_address(simulator))
    await socket.receive()
    await socket.close()
    assert socket.close_code == 1000
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_trickle_sends_one_byte_per_second(
    simulator: Simulator, request_address: RequestAddress, view: View, clock: FakeClock
) -> None:
    simulator.add_fault(_rfb(FaultKind.TRICKLE))
    socket = await view(await request_address(simulator))
    began = clock.monotonic()
    received = [(await _advance_until_done(socket.receive(), clock)).data for _ in _VERSION]
    assert received == [bytes([byte]) for byte in _VERSION]
    assert clock.monotonic() - began >= 11
    await socket.close()


async def test_console_faults_are_set_over_http(
    simulator: Simulator, request_address: RequestAddress, view: View, client: httpx.AsyncClient
) -> None:
    url = f"{simulator.url}/simulator/faults"
    fault = {"kind": "close", "operation": "console_rfb", "servers": "db-01", "code": 1012}
    assert (await client.put(url, json=[fault])).status_code == 204
    socket = await view(await request_address(simulator))
    await socket.receive()
    assert socket.close_code == 1012
    await _wait_until_counted(simulator, "console_rfb", "1012")
    counts = (await client.get(f"{simulator.url}/simulator/counts")).json()
    assert {
        "project": "alpha",
        "operation": "console_rfb",
        "status": "1012",
        "count": 1,
    } in counts
    response = await client.put(url, json=[{"kind": "html", "operation": "console_websocket"}])
    assert response.status_code == 400
    assert response.text.startswith("faults[0].kind: console_websocket supports only")


async def test_fault_of_any_operation_does_not_affect_consoles(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    address = await request_address(simulator)
    simulator.add_fault(Fault(FaultKind.STATUS, status=500, operation=None))
    socket = await view(address)
    assert (await socket.receive()).data == _VERSION
    await socket.close()


async def test_shutdown_does_not_wait_for_open_sessions(
    document: dict[str, Any], request_address: RequestAddress, view: View
) -> None:
    document["faults"] = [{"kind": "hang", "operation": "console_rfb"}]
    async with running_simulator(parse_scenario(document)) as simulator:
        socket = await view(await request_address(simulator))
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    assert (await socket.receive()).type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}
    assert simulator.counts["alpha", "console_rfb", "none"] == 1


async def test_page_faults_work_over_tls(
    document: dict[str, Any], browser: aiohttp.ClientSession
) -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    async with running_simulator(parse_scenario(document), ssl_context=server_side) as simulator:
        url = URL(simulator.url) / "vnc/db-01.cn-north-1/vnc_auto.html"
        async with browser.get(url, ssl=client_side) as response:
            assert response.status == 200
        for kind in (FaultKind.RESET, FaultKind.DROP):
            simulator.set_faults([_page(kind)])
            with pytest.raises(aiohttp.ClientError):
                await browser.get(url, ssl=client_side)
