"""Each kind of fault of a console, as it looks on the wire."""

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

Mint = Callable[..., Awaitable[URL]]
View = Callable[..., Awaitable[aiohttp.ClientWebSocketResponse]]
_VERSION = b"RFB 003.008\n"


class MovedClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


async def _moved(waiting: Awaitable[Any], clock: MovedClock) -> Any:
    """Return what is waited for, moving time by a second again and again."""
    task = asyncio.ensure_future(waiting)
    while not task.done():
        await asyncio.sleep(0.005)
        await clock.advance(1)
    return task.result()


async def _counted(simulator: Simulator, operation: str, status: str) -> None:
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
async def test_a_page_is_refused_as_a_gateway_refuses_it(
    simulator: Simulator, mint: Mint, browser: aiohttp.ClientSession, status: int
) -> None:
    simulator.add_fault(_page(FaultKind.STATUS, status=status))
    async with browser.get(await mint(simulator)) as answer:
        assert answer.status == status
        assert answer.headers["Content-Type"].startswith("text/html")
        assert str(status) in await answer.text()
    assert simulator.counts["alpha", "console_page", str(status)] == 1


async def test_a_page_is_late(
    simulator: Simulator, mint: Mint, browser: aiohttp.ClientSession, clock: MovedClock
) -> None:
    simulator.add_fault(_page(FaultKind.SLOW, seconds=30))
    address = await mint(simulator)
    began = clock.monotonic()
    answer = await _moved(browser.get(address), clock)
    assert answer.status == 200
    assert clock.monotonic() - began >= 30


async def test_a_page_leads_elsewhere(
    simulator: Simulator, mint: Mint, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.REDIRECT, url="http://127.0.0.1:9/else"))
    async with browser.get(await mint(simulator), allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "http://127.0.0.1:9/else")


async def test_a_page_comes_as_no_page(
    simulator: Simulator, mint: Mint, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.CONTENT_TYPE))
    async with browser.get(await mint(simulator)) as answer:
        assert (answer.status, answer.content_type) == (200, "application/octet-stream")
        assert (await answer.read()).startswith(b"<!DOCTYPE html>")


async def test_a_page_is_empty(
    simulator: Simulator, mint: Mint, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.EMPTY))
    async with browser.get(await mint(simulator)) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_a_page_goes_on_past_any_bound(
    simulator: Simulator, mint: Mint, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.ENDLESS))
    async with browser.get(await mint(simulator)) as answer:
        assert answer.content_type == "text/html"
        assert len(await answer.content.readexactly(4 << 20)) == 4 << 20


async def test_a_page_is_cut(
    simulator: Simulator, mint: Mint, browser: aiohttp.ClientSession
) -> None:
    simulator.add_fault(_page(FaultKind.CUT))
    async with browser.get(await mint(simulator)) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.RESET, aiohttp.ClientOSError),
        (FaultKind.DROP, aiohttp.ServerDisconnectedError),
        (FaultKind.GARBAGE, aiohttp.ClientResponseError),
        (FaultKind.HANG, TimeoutError),
    ],
)
async def test_a_page_does_not_come(
    simulator: Simulator,
    mint: Mint,
    browser: aiohttp.ClientSession,
    kind: FaultKind,
    error: type[Exception],
) -> None:
    simulator.add_fault(_page(kind))
    address = await mint(simulator)
    with pytest.raises(error):
        await browser.get(address, timeout=aiohttp.ClientTimeout(_patience(kind)))
    await _counted(simulator, "console_page", "none")


def _patience(kind: FaultKind) -> float:
    """Return how many seconds to wait for what a fault does."""
    return 0.2 if kind is FaultKind.HANG else 10


@pytest.mark.parametrize("status", [400, 403, 502])
async def test_a_websocket_is_refused(
    simulator: Simulator, mint: Mint, view: View, status: int
) -> None:
    simulator.add_fault(_websocket(FaultKind.STATUS, status=status))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await view(await mint(simulator))
    assert caught.value.status == status
    assert simulator.counts["alpha", "console_websocket", str(status)] == 1


async def test_a_proxy_answers_with_a_page_in_place_of_a_websocket(
    simulator: Simulator, mint: Mint, view: View
) -> None:
    simulator.add_fault(_websocket(FaultKind.NO_UPGRADE))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await view(await mint(simulator))
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
async def test_a_websocket_does_not_come(
    simulator: Simulator, mint: Mint, view: View, kind: FaultKind, error: type[Exception]
) -> None:
    simulator.add_fault(_websocket(kind))
    address = await mint(simulator)
    with pytest.raises(error):
        await asyncio.wait_for(view(address), _patience(kind))
    await _counted(simulator, "console_websocket", "none")


async def test_a_websocket_is_late(
    simulator: Simulator, mint: Mint, view: View, clock: MovedClock
) -> None:
    simulator.add_fault(_websocket(FaultKind.SLOW, seconds=30))
    address = await mint(simulator)
    began = clock.monotonic()
    socket = await _moved(view(address), clock)
    assert clock.monotonic() - began >= 30
    assert (await socket.receive()).data == _VERSION
    await socket.close()


async def test_only_the_servers_that_are_struck_fail_at_each_stage(
    simulator: Simulator, mint: Mint, view: View, browser: aiohttp.ClientSession
) -> None:
    simulator.set_faults(
        [
            _page(FaultKind.STATUS, status=502, servers="db-01", project="alpha"),
            _websocket(FaultKind.STATUS, status=502, servers="db-02"),
            _rfb(FaultKind.CLOSE, servers="id-3"),
        ]
    )
    pages: list[int] = []
    greetings: list[WSMsgType | None] = []
    for server in ("id-1", "id-2", "id-3"):
        address = await mint(simulator, server)
        async with browser.get(address) as answer:
            pages.append(answer.status)
        try:
            socket = await view(address, "/websockify")
        except aiohttp.WSServerHandshakeError:
            greetings.append(None)
        else:
            greetings.append((await socket.receive()).type)
            await socket.close()
    assert pages == [502, 200, 200]
    assert greetings == [WSMsgType.BINARY, None, WSMsgType.CLOSE]


@pytest.mark.parametrize("code", [1011, 1000, 4404])
async def test_a_websocket_is_closed_before_the_first_byte(
    simulator: Simulator, mint: Mint, view: View, code: int
) -> None:
    simulator.add_fault(_rfb(FaultKind.CLOSE, code=code))
    socket = await view(await mint(simulator))
    message = await socket.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, code)
    await _counted(simulator, "console_rfb", str(code))
    assert simulator.counts["alpha", "console_websocket", "101"] == 1


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.DROP])
async def test_a_websocket_ends_without_a_close_frame(
    simulator: Simulator, mint: Mint, view: View, kind: FaultKind
) -> None:
    simulator.add_fault(_rfb(kind))
    socket = await view(await mint(simulator))
    assert (await socket.receive()).type in {WSMsgType.CLOSED, WSMsgType.ERROR}
    assert socket.close_code == 1006
    await _counted(simulator, "console_rfb", "none")


async def test_a_machine_is_silent(simulator: Simulator, mint: Mint, view: View) -> None:
    simulator.add_fault(_rfb(FaultKind.HANG))
    socket = await view(await mint(simulator))
    listening = asyncio.ensure_future(socket.receive())
    await asyncio.wait({listening}, timeout=0.1)
    assert not listening.done()
    await socket.close()
    await _counted(simulator, "console_rfb", "1000")


async def test_a_machine_is_late(
    simulator: Simulator, mint: Mint, view: View, clock: MovedClock
) -> None:
    simulator.add_fault(_rfb(FaultKind.SLOW, seconds=30))
    socket = await view(await mint(simulator))
    began = clock.monotonic()
    assert (await _moved(socket.receive(), clock)).data == _VERSION
    assert clock.monotonic() - began >= 30
    await socket.close()


async def test_who_does_not_wait_for_a_late_machine_is_let_go(
    simulator: Simulator, mint: Mint, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.SLOW, seconds=30))
    socket = await view(await mint(simulator))
    await socket.close()
    assert socket.close_code == 1000
    await _counted(simulator, "console_rfb", "1000")


async def test_a_machine_speaks_something_else(
    simulator: Simulator, mint: Mint, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.GARBAGE))
    socket = await view(await mint(simulator))
    assert (await socket.receive()).data.startswith(b"SSH-2.0-")
    await socket.close()


async def test_a_machine_says_10_mib_of_nothing(
    simulator: Simulator, mint: Mint, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.ENDLESS))
    socket = await view(await mint(simulator))
    read = 0
    while read < 10 << 20:
        data = (await socket.receive(timeout=5)).data
        assert not data.strip(b"\0")
        read += len(data)
    await socket.close()
    await _counted(simulator, "console_rfb", "1000")


async def test_who_has_enough_of_nothing_can_close(
    simulator: Simulator, mint: Mint, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.ENDLESS))
    socket = await view(await mint(simulator))
    await socket.receive()
    await socket.close()
    assert socket.close_code == 1000
    await _counted(simulator, "console_rfb", "1000")


async def test_a_machine_says_a_byte_a_second(
    simulator: Simulator, mint: Mint, view: View, clock: MovedClock
) -> None:
    simulator.add_fault(_rfb(FaultKind.TRICKLE))
    socket = await view(await mint(simulator))
    began = clock.monotonic()
    said = [(await _moved(socket.receive(), clock)).data for _ in _VERSION]
    assert said == [bytes([byte]) for byte in _VERSION]
    assert clock.monotonic() - began >= 11
    await socket.close()


async def test_faults_of_the_console_are_put_in_force_over_http(
    simulator: Simulator, mint: Mint, view: View, client: httpx.AsyncClient
) -> None:
    url = f"{simulator.url}/simulator/faults"
    fault = {"kind": "close", "operation": "console_rfb", "servers": "db-01", "code": 1012}
    assert (await client.put(url, json=[fault])).status_code == 204
    socket = await view(await mint(simulator))
    await socket.receive()
    assert socket.close_code == 1012
    await _counted(simulator, "console_rfb", "1012")
    counts = (await client.get(f"{simulator.url}/simulator/counts")).json()
    assert {
        "project": "alpha",
        "operation": "console_rfb",
        "status": "1012",
        "count": 1,
    } in counts
    answer = await client.put(url, json=[{"kind": "html", "operation": "console_websocket"}])
    assert answer.status_code == 400
    assert answer.text.startswith("faults[0].kind: console_websocket fails only by")


async def test_a_fault_of_any_operation_leaves_the_console_alone(
    simulator: Simulator, mint: Mint, view: View
) -> None:
    address = await mint(simulator)
    simulator.add_fault(Fault(FaultKind.STATUS, status=500, operation=None))
    socket = await view(address)
    assert (await socket.receive()).data == _VERSION
    await socket.close()


async def test_the_end_does_not_wait_for_who_looks_at_a_silent_machine(
    document: dict[str, Any], mint: Mint, view: View
) -> None:
    document["faults"] = [{"kind": "hang", "operation": "console_rfb"}]
    async with running_simulator(parse_scenario(document)) as simulator:
        socket = await view(await mint(simulator))
        ending = time.monotonic()
    assert time.monotonic() - ending < 5
    assert (await socket.receive()).type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}
    assert simulator.counts["alpha", "console_rfb", "none"] == 1


async def test_a_page_comes_over_tls_and_is_broken_there_too(
    document: dict[str, Any], browser: aiohttp.ClientSession
) -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    async with running_simulator(parse_scenario(document), ssl_context=server_side) as simulator:
        url = URL(simulator.url) / "vnc/db-01.cn-north-1/vnc_auto.html"
        async with browser.get(url, ssl=client_side) as answer:
            assert answer.status == 200
        for kind in (FaultKind.RESET, FaultKind.DROP):
            simulator.set_faults([_page(kind)])
            with pytest.raises(aiohttp.ClientError):
                await browser.get(url, ssl=client_side)
