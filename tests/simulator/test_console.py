"""Consoles without faults, and requests that they reject."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from exporter.clock import Clock
from exporter.simulator import Simulator

RequestAddress = Callable[..., Awaitable[httpx.URL]]
View = Callable[..., Awaitable[ClientConnection]]
Start = Callable[[dict[str, Any]], Awaitable[Simulator]]
_VERSION = b"RFB 003.008\n"
_BOTH_PATHS = pytest.mark.parametrize("path", ["websockify", "/websockify"])


class FakeClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


async def _wait_until_counted(simulator: Simulator, operation: str, status: str) -> None:
    """Wait until the request is counted, which happens after the client sees the close."""
    for _ in range(200):
        if simulator.counts["alpha", operation, status]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{operation} {status} is not in {simulator.counts}")


@pytest.mark.parametrize("token", ["issued", "guessed", None])
async def test_page_is_served_for_any_token(
    simulator: Simulator,
    request_address: RequestAddress,
    client: httpx.AsyncClient,
    token: str | None,
) -> None:
    address = await request_address(simulator)
    if token != "issued":
        address = address.copy_with(params={"token": token} if token else {})
    response = await client.get(address)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.text.startswith("<!DOCTYPE html>")
    assert response.cookies["session"]
    assert response.headers["X-Request-Id"]
    assert simulator.counts["alpha", "console_page", "200"] == 1


async def test_page_shows_the_escaped_server_name(
    document: dict[str, Any],
    start: Start,
    request_address: RequestAddress,
    client: httpx.AsyncClient,
) -> None:
    document["projects"][0]["servers"][0]["name"] = "<b>/ä 1"
    address = await request_address(await start(document))
    assert "&lt;b&gt;/ä 1.cn-north-1" in (await client.get(address)).text


@pytest.mark.parametrize("host", ["db-01", "db-09.cn-north-1", "db-01.cn-north-9"])
async def test_page_of_an_unknown_host_returns_404(
    simulator: Simulator, client: httpx.AsyncClient, host: str
) -> None:
    response = await client.get(f"{simulator.url}/vnc/{host}/vnc_auto.html")
    assert response.status_code == 404
    assert simulator.counts == {("none", "console_page", "404"): 1}


@_BOTH_PATHS
async def test_server_sends_its_rfb_version_in_one_binary_frame(
    simulator: Simulator, request_address: RequestAddress, view: View, path: str
) -> None:
    socket = await view(await request_address(simulator, "id-3"), path)
    assert socket.subprotocol == "binary"
    assert await socket.recv() == _VERSION
    receiving = asyncio.ensure_future(socket.recv())
    await asyncio.wait({receiving}, timeout=0.1)
    assert not receiving.done()
    await _wait_until_counted(simulator, "console_websocket", "101")
    assert not any(operation == "console_rfb" for _, operation, _ in simulator.counts)
    await socket.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")
    with pytest.raises(ConnectionClosed):
        await receiving


@pytest.mark.parametrize(
    ("version", "types"),
    [
        (b"RFB 003.003\n", b"\0\0\0\1"),
        (b"RFB 003.007\n", b"\1\1"),
        (b"RFB 003.008\n", b"\1\1"),
    ],
)
@pytest.mark.parametrize("cut", [0, 5])
async def test_server_answers_a_version_with_its_security_types(  # noqa: PLR0913, PLR0917 - a table's row
    simulator: Simulator,
    request_address: RequestAddress,
    view: View,
    version: bytes,
    types: bytes,
    cut: int,
) -> None:
    socket = await view(await request_address(simulator))
    assert await socket.recv() == _VERSION
    await socket.send(version[:cut])
    await socket.send(version[cut:])
    assert await socket.recv() == types
    await socket.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_disconnected_viewer_is_counted_without_a_close_code(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    socket = await view(await request_address(simulator))
    await socket.recv()
    socket.transport.abort()
    await _wait_until_counted(simulator, "console_rfb", "none")


async def test_session_is_closed_after_a_minute(
    simulator: Simulator, request_address: RequestAddress, view: View, clock: FakeClock
) -> None:
    socket = await view(await request_address(simulator))
    await socket.recv()
    await clock.advance(59)
    receiving = asyncio.ensure_future(socket.recv())
    await asyncio.wait({receiving}, timeout=0.05)
    assert not receiving.done()
    await clock.advance(1)
    with pytest.raises(ConnectionClosed) as caught:
        await receiving
    assert caught.value.rcvd
    assert caught.value.rcvd.code == 1000
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_messages_of_the_viewer_are_discarded(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    socket = await view(await request_address(simulator))
    await socket.recv()
    for _ in range(20):
        await socket.send(bytes(30_000))
    await socket.send("text")
    await socket.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [((), None), (("binary",), "binary"), (("base64", "binary"), "binary")],
)
async def test_subprotocol_is_binary_or_none(
    simulator: Simulator,
    request_address: RequestAddress,
    view: View,
    offered: tuple[str, ...],
    chosen: str | None,
) -> None:
    socket = await view(await request_address(simulator), protocols=offered)
    assert socket.subprotocol == chosen
    assert await socket.recv() == _VERSION
    await socket.close()


async def test_other_subprotocols_are_rejected(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await view(await request_address(simulator), protocols=("base64",))
    assert caught.value.response.status_code == 400
    assert simulator.counts["alpha", "console_websocket", "400"] == 1


async def test_plain_request_to_the_websocket_path_returns_400(
    simulator: Simulator, request_address: RequestAddress, client: httpx.AsyncClient
) -> None:
    address = await request_address(simulator)
    url = address.join("websockify").copy_with(query=address.query)
    assert (await client.get(url)).status_code == 400


@_BOTH_PATHS
async def test_token_is_accepted_as_a_cookie(
    simulator: Simulator, request_address: RequestAddress, path: str
) -> None:
    address = await request_address(simulator)
    headers = {"Cookie": f"session=x; token={address.params['token']}"}
    url = address.join(path).copy_with(scheme="ws", query=None)
    async with connect(str(url), additional_headers=headers, proxy=None) as socket:
        assert await socket.recv() == _VERSION


@_BOTH_PATHS
async def test_unknown_token_closes_the_connection(
    simulator: Simulator, request_address: RequestAddress, view: View, path: str
) -> None:
    address = (await request_address(simulator)).copy_with(params={"token": "guessed"})
    with pytest.raises(InvalidMessage):
        await view(address, path)
    project = "alpha" if path == "websockify" else "none"
    assert simulator.counts[project, "console_websocket", "none"] == 1


@_BOTH_PATHS
async def test_token_expires_after_its_lifetime(  # noqa: PLR0913, PLR0917 - fixtures
    document: dict[str, Any],
    start: Start,
    request_address: RequestAddress,
    view: View,
    clock: FakeClock,
    path: str,
) -> None:
    document["projects"][0]["console"] = {"token_lifetime": "2m"}
    address = await request_address(await start(document))
    await clock.advance(119)
    await (await view(address, path)).close()
    await (await view(address, path)).close()
    await clock.advance(1)
    with pytest.raises(InvalidMessage):
        await view(address, path)


@_BOTH_PATHS
async def test_single_use_token_opens_one_websocket(
    document: dict[str, Any], start: Start, request_address: RequestAddress, view: View, path: str
) -> None:
    document["projects"][0]["console"] = {"single_use": True}
    address = await request_address(await start(document))
    with pytest.raises(InvalidStatus):
        await view(address, path, protocols=("base64",))
    await (await view(address, path)).close()
    with pytest.raises(InvalidMessage):
        await view(address, path)


@pytest.mark.parametrize("host", ["db-01.cn-north-2", "db-02.cn-north-1", "none"])
async def test_token_is_rejected_for_another_server_or_project(
    simulator: Simulator, request_address: RequestAddress, view: View, host: str
) -> None:
    address = await request_address(simulator)
    with pytest.raises(InvalidMessage):
        await view(address, f"/vnc/{host}/websockify")


@pytest.mark.parametrize(
    ("served", "path", "other"),
    [("root", "/websockify", "websockify"), ("relative", "websockify", "/websockify")],
)
async def test_websocket_path_can_be_restricted(  # noqa: PLR0913, PLR0917 - a table's row
    document: dict[str, Any],
    start: Start,
    request_address: RequestAddress,
    view: View,
    served: str,
    path: str,
    other: str,
) -> None:
    document["projects"][0]["console"] = {"websocket": served, "single_use": True}
    simulator = await start(document)
    address = await request_address(simulator)
    with pytest.raises(InvalidStatus) as caught:
        await view(address, other)
    assert caught.value.response.status_code == 404
    assert simulator.counts["alpha", "console_websocket", "404"] == 1
    socket = await view(address, path)
    assert await socket.recv() == _VERSION
    await socket.close()


async def test_viewer_above_the_maximum_is_closed_before_the_first_byte(
    document: dict[str, Any], start: Start, request_address: RequestAddress, view: View
) -> None:
    document["projects"][0]["console"] = {"viewers": 1}
    simulator = await start(document)
    first = await view(await request_address(simulator))
    assert await first.recv() == _VERSION
    second = await view(await request_address(simulator))
    with pytest.raises(ConnectionClosed):
        await second.recv()
    assert second.close_code == 1013
    another = await view(await request_address(simulator, "id-2"))
    assert await another.recv() == _VERSION
    await another.close()
    await first.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")
    third = await view(await request_address(simulator))
    assert await third.recv() == _VERSION
    await third.close()
    assert simulator.counts["alpha", "console_rfb", "1013"] == 1


async def test_console_has_the_latency_of_its_project(
    document: dict[str, Any],
    start: Start,
    view: View,
    clock: FakeClock,
    request_address: RequestAddress,
) -> None:
    document["projects"][0]["latency"] = {"median": "50ms"}
    simulator = await start(document)

    async def open_console() -> bytes:
        socket = await view(await request_address(simulator))
        return bytes(await socket.recv(decode=False))

    began = clock.monotonic()
    opening = asyncio.ensure_future(open_console())
    while not opening.done():
        await asyncio.sleep(0.005)
        await clock.advance(0.01)
    assert opening.result() == _VERSION
    # The login, the address, the WebSocket and the first bytes.
    assert clock.monotonic() - began >= 4 * 0.05
