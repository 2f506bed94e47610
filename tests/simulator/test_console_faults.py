"""Faults of consoles as a client sees them."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import httpx
import pytest
import trustme
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from exporter.clock import Clock
from exporter.simulator import Simulator, parse_scenario, running_simulator
from exporter.simulator.scenario import Fault, FaultKind, Operation

RequestAddress = Callable[..., Awaitable[httpx.URL]]
View = Callable[..., Awaitable[ClientConnection]]
_VERSION = b"RFB 003.008\n"
_UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_NO_RESPONSE = pytest.mark.parametrize(
    ("kind", "ending"),
    [
        (FaultKind.RESET, ConnectionResetError),
        (FaultKind.DROP, b""),
        (FaultKind.GARBAGE, b"SSH-2.0-OpenSSH_9.2\r\n"),
        (FaultKind.HANG, TimeoutError),
    ],
)


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


async def _ending(url: httpx.URL, headers: str = "") -> bytes | type[Exception]:
    """Send a request over a raw socket; return what the server sends, or how reading failed."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"GET {url.raw_path.decode()} HTTP/1.1\r\nHost: h\r\n{headers}\r\n".encode())
    try:
        return await asyncio.wait_for(reader.read(), 0.3)
    except (ConnectionResetError, TimeoutError) as error:
        return type(error)
    finally:
        writer.close()


async def _close_code(socket: ClientConnection) -> int | None:
    """Return the code of the server's close frame, which must be next; None without one."""
    with pytest.raises(ConnectionClosed) as caught:
        await socket.recv()
    return caught.value.rcvd.code if caught.value.rcvd else None


def _page(kind: FaultKind, **details: Any) -> Fault:
    return Fault(kind=kind, operation=Operation.CONSOLE_PAGE, **details)


def _websocket(kind: FaultKind, **details: Any) -> Fault:
    return Fault(kind=kind, operation=Operation.CONSOLE_WEBSOCKET, **details)


def _rfb(kind: FaultKind, **details: Any) -> Fault:
    return Fault(kind=kind, operation=Operation.CONSOLE_RFB, **details)


@pytest.mark.parametrize("status", [404, 499, 502])
async def test_page_error_is_an_html_page(
    simulator: Simulator,
    request_address: RequestAddress,
    client: httpx.AsyncClient,
    status: int,
) -> None:
    simulator.add_fault(_page(FaultKind.STATUS, status=status))
    response = await client.get(await request_address(simulator))
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    assert str(status) in response.text
    assert simulator.counts["alpha", "console_page", str(status)] == 1


async def test_page_is_delayed(
    simulator: Simulator,
    request_address: RequestAddress,
    client: httpx.AsyncClient,
    clock: FakeClock,
) -> None:
    simulator.add_fault(_page(FaultKind.SLOW, seconds=30))
    address = await request_address(simulator)
    began = clock.monotonic()
    response = await _advance_until_done(client.get(address), clock)
    assert response.status_code == 200
    assert clock.monotonic() - began >= 30


async def test_page_redirects(
    simulator: Simulator, request_address: RequestAddress, client: httpx.AsyncClient
) -> None:
    simulator.add_fault(_page(FaultKind.REDIRECT, url="http://127.0.0.1:9/else"))
    response = await client.get(await request_address(simulator))
    assert (response.status_code, response.headers["Location"]) == (302, "http://127.0.0.1:9/else")


async def test_page_has_another_content_type(
    simulator: Simulator, request_address: RequestAddress, client: httpx.AsyncClient
) -> None:
    simulator.add_fault(_page(FaultKind.CONTENT_TYPE))
    response = await client.get(await request_address(simulator))
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.text.startswith("<!DOCTYPE html>")


async def test_page_is_empty(
    simulator: Simulator, request_address: RequestAddress, client: httpx.AsyncClient
) -> None:
    simulator.add_fault(_page(FaultKind.EMPTY))
    response = await client.get(await request_address(simulator))
    assert (response.status_code, response.content) == (200, b"")


async def test_page_is_endless(
    simulator: Simulator, request_address: RequestAddress, client: httpx.AsyncClient
) -> None:
    simulator.add_fault(_page(FaultKind.ENDLESS))
    async with client.stream("GET", await request_address(simulator)) as response:
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        read = 0
        async for chunk in response.aiter_bytes():
            read += len(chunk)
            if read > 4 << 20:
                break
    assert read > 4 << 20


async def test_page_is_cut(
    simulator: Simulator, request_address: RequestAddress, client: httpx.AsyncClient
) -> None:
    simulator.add_fault(_page(FaultKind.CUT))
    async with client.stream("GET", await request_address(simulator)) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()


@_NO_RESPONSE
async def test_page_request_gets_no_response(
    simulator: Simulator,
    request_address: RequestAddress,
    kind: FaultKind,
    ending: bytes | type[Exception],
) -> None:
    simulator.add_fault(_page(kind))
    assert await _ending(await request_address(simulator)) == ending
    await _wait_until_counted(simulator, "console_page", "none")


@pytest.mark.parametrize("status", [400, 403, 502])
async def test_websocket_is_rejected(
    simulator: Simulator, request_address: RequestAddress, view: View, status: int
) -> None:
    simulator.add_fault(_websocket(FaultKind.STATUS, status=status))
    with pytest.raises(InvalidStatus) as caught:
        await view(await request_address(simulator))
    assert caught.value.response.status_code == status
    assert simulator.counts["alpha", "console_websocket", str(status)] == 1


async def test_no_upgrade_returns_a_page_instead_of_a_websocket(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_websocket(FaultKind.NO_UPGRADE))
    with pytest.raises(InvalidStatus) as caught:
        await view(await request_address(simulator))
    assert caught.value.response.status_code == 200
    assert caught.value.response.headers["Content-Type"].startswith("text/html")


@_NO_RESPONSE
async def test_websocket_handshake_gets_no_response(
    simulator: Simulator,
    request_address: RequestAddress,
    kind: FaultKind,
    ending: bytes | type[Exception],
) -> None:
    simulator.add_fault(_websocket(kind))
    url = (await request_address(simulator)).copy_with(path="/websockify")
    assert await _ending(url, _UPGRADE) == ending
    await _wait_until_counted(simulator, "console_websocket", "none")


async def test_websocket_is_delayed(
    simulator: Simulator, request_address: RequestAddress, view: View, clock: FakeClock
) -> None:
    simulator.add_fault(_websocket(FaultKind.SLOW, seconds=30))
    address = await request_address(simulator)
    began = clock.monotonic()
    socket = await _advance_until_done(view(address), clock)
    assert clock.monotonic() - began >= 30
    assert await socket.recv() == _VERSION
    await socket.close()


async def test_faults_of_each_stage_affect_only_matching_servers(
    simulator: Simulator,
    request_address: RequestAddress,
    view: View,
    client: httpx.AsyncClient,
) -> None:
    simulator.set_faults(
        [
            _page(FaultKind.STATUS, status=502, servers="db-01", project="alpha"),
            _websocket(FaultKind.STATUS, status=502, servers="db-02"),
            _rfb(FaultKind.CLOSE, servers="id-3"),
        ]
    )
    addresses = [await request_address(simulator, server) for server in ("id-1", "id-2", "id-3")]
    pages = [(await client.get(address)).status_code for address in addresses]
    assert pages == [502, 200, 200]
    assert await (await view(addresses[0], "/websockify")).recv() == _VERSION
    with pytest.raises(InvalidStatus):
        await view(addresses[1], "/websockify")
    assert await _close_code(await view(addresses[2], "/websockify")) == 1011


@pytest.mark.parametrize("code", [1011, 1000, 4404])
async def test_websocket_is_closed_before_the_first_byte(
    simulator: Simulator, request_address: RequestAddress, view: View, code: int
) -> None:
    simulator.add_fault(_rfb(FaultKind.CLOSE, code=code))
    socket = await view(await request_address(simulator))
    assert await _close_code(socket) == code
    await _wait_until_counted(simulator, "console_rfb", str(code))
    assert simulator.counts["alpha", "console_websocket", "101"] == 1


@pytest.mark.parametrize("code", [1005, 2999])
async def test_websocket_is_closed_with_a_reserved_code(
    simulator: Simulator, request_address: RequestAddress, view: View, code: int
) -> None:
    simulator.add_fault(_rfb(FaultKind.CLOSE, code=code))
    socket = await view(await request_address(simulator))
    with pytest.raises(ConnectionClosed) as caught:
        await socket.recv()
    assert caught.value.sent
    assert (caught.value.sent.code, caught.value.sent.reason) == (1002, "invalid status code")
    await _wait_until_counted(simulator, "console_rfb", str(code))


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.DROP])
async def test_websocket_ends_without_a_close_frame(
    simulator: Simulator, request_address: RequestAddress, view: View, kind: FaultKind
) -> None:
    simulator.add_fault(_rfb(kind))
    socket = await view(await request_address(simulator))
    assert await _close_code(socket) is None
    await _wait_until_counted(simulator, "console_rfb", "none")


async def test_hang_sends_no_bytes(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.HANG))
    socket = await view(await request_address(simulator))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(socket.recv(), 0.1)
    await socket.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_first_bytes_are_delayed(
    simulator: Simulator, request_address: RequestAddress, view: View, clock: FakeClock
) -> None:
    simulator.add_fault(_rfb(FaultKind.SLOW, seconds=30))
    socket = await view(await request_address(simulator))
    began = clock.monotonic()
    assert await _advance_until_done(socket.recv(), clock) == _VERSION
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
    assert await socket.recv() == b"SSH-2.0-OpenSSH_9.2\r\n"
    await socket.close()


async def test_endless_sends_10_mib_of_zeros(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.ENDLESS))
    socket = await view(await request_address(simulator))
    read = 0
    while read < 10 << 20:
        data = await asyncio.wait_for(socket.recv(decode=False), 5)
        assert not data.strip(b"\0")
        read += len(data)
    await socket.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_viewer_can_close_while_endless_bytes_are_sent(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.ENDLESS))
    socket = await view(await request_address(simulator))
    await socket.recv()
    await socket.close()
    assert socket.close_code == 1000
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_trickle_sends_one_byte_per_second(
    simulator: Simulator, request_address: RequestAddress, view: View, clock: FakeClock
) -> None:
    simulator.add_fault(_rfb(FaultKind.TRICKLE))
    socket = await view(await request_address(simulator))
    began = clock.monotonic()
    received = [await _advance_until_done(socket.recv(), clock) for _ in _VERSION]
    assert received == [bytes([byte]) for byte in _VERSION]
    assert clock.monotonic() - began >= 11
    await socket.close()


@pytest.mark.parametrize(
    ("version", "refusal"),
    [
        (b"RFB 003.008\n", b"\0\0\0\0\5Never"),
        (b"RFB 003.003\n", b"\0\0\0\0\0\0\0\5Never"),
    ],
)
async def test_refusal_follows_the_version_of_the_viewer(
    simulator: Simulator,
    request_address: RequestAddress,
    view: View,
    version: bytes,
    refusal: bytes,
) -> None:
    simulator.add_fault(_rfb(FaultKind.REFUSE, reason="Never"))
    socket = await view(await request_address(simulator))
    assert await socket.recv() == _VERSION
    await socket.send(version)
    assert await socket.recv() == refusal
    await socket.close()


async def test_busy_console_refuses_without_waiting_for_a_version(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    simulator.add_fault(_rfb(FaultKind.BUSY))
    socket = await view(await request_address(simulator))
    refusal = await socket.recv(decode=False)
    assert refusal.startswith(b"RFB 003.003\n\0\0\0\0")
    assert refusal.endswith(b"Too many security failures")
    await socket.close()


async def test_console_faults_are_set_over_http(
    simulator: Simulator, request_address: RequestAddress, view: View, client: httpx.AsyncClient
) -> None:
    url = f"{simulator.url}/simulator/faults"
    fault = {"kind": "close", "operation": "console_rfb", "servers": "db-01", "code": 1012}
    assert (await client.put(url, json=[fault])).status_code == 204
    socket = await view(await request_address(simulator))
    assert await _close_code(socket) == 1012
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
    simulator.add_fault(Fault(kind=FaultKind.STATUS, status=500, operation=Operation.ANY))
    socket = await view(address)
    assert await socket.recv() == _VERSION
    await socket.close()


async def test_shutdown_does_not_wait_for_open_sessions(
    document: dict[str, Any], request_address: RequestAddress, view: View
) -> None:
    document["faults"] = [{"kind": "hang", "operation": "console_rfb"}]
    async with running_simulator(parse_scenario(document)) as simulator:
        socket = await view(await request_address(simulator))
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert simulator.counts["alpha", "console_rfb", "none"] == 1


async def test_page_faults_work_over_tls(document: dict[str, Any]) -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    async with (
        running_simulator(parse_scenario(document), ssl_context=server_side) as simulator,
        httpx.AsyncClient(verify=client_side, trust_env=False) as client,
    ):
        url = f"{simulator.url}/vnc/db-01.cn-north-1/vnc_auto.html"
        assert (await client.get(url)).status_code == 200
        for kind in (FaultKind.RESET, FaultKind.DROP):
            simulator.set_faults([_page(kind)])
            with pytest.raises(httpx.TransportError):
                await client.get(url)
