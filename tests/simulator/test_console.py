"""Consoles without faults, and requests that they reject."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import aiohttp
import pytest
from aiohttp import WSMsgType
from yarl import URL

from exporter.simulator import Simulator
from exporter.simulator.clock import Clock

RequestAddress = Callable[..., Awaitable[URL]]
View = Callable[..., Awaitable[aiohttp.ClientWebSocketResponse]]
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
    browser: aiohttp.ClientSession,
    token: str | None,
) -> None:
    address = await request_address(simulator)
    if token != "issued":
        address = address.with_query({"token": token} if token else {})
    async with browser.get(address) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert (await response.text()).startswith("<!DOCTYPE html>")
        assert response.cookies["session"].value
        assert response.headers["X-Request-Id"]
    assert simulator.counts["alpha", "console_page", "200"] == 1


async def test_page_shows_the_escaped_server_name(
    document: dict[str, Any],
    start: Start,
    request_address: RequestAddress,
    browser: aiohttp.ClientSession,
) -> None:
    document["projects"][0]["servers"][0]["name"] = "<b>/ä 1"
    address = await request_address(await start(document))
    async with browser.get(address) as response:
        assert "&lt;b&gt;/ä 1.cn-north-1" in await response.text()


@pytest.mark.parametrize("host", ["db-01", "db-09.cn-north-1", "db-01.cn-north-9"])
async def test_page_of_an_unknown_host_returns_404(
    simulator: Simulator, browser: aiohttp.ClientSession, host: str
) -> None:
    async with browser.get(f"{simulator.url}/vnc/{host}/vnc_auto.html") as response:
        assert response.status == 404
    assert simulator.counts == {("none", "console_page", "404"): 1}


@_BOTH_PATHS
async def test_server_sends_its_rfb_version_in_one_binary_frame(
    simulator: Simulator, request_address: RequestAddress, view: View, path: str
) -> None:
    socket = await view(await request_address(simulator, "id-3"), path)
    assert socket.protocol == "binary"
    message = await socket.receive()
    assert (message.type, message.data) == (WSMsgType.BINARY, _VERSION)
    receiving = asyncio.ensure_future(socket.receive())
    await asyncio.wait({receiving}, timeout=0.1)
    assert not receiving.done()
    await _wait_until_counted(simulator, "console_websocket", "101")
    assert not any(operation == "console_rfb" for _, operation, _ in simulator.counts)
    await socket.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_disconnected_viewer_is_counted_without_a_close_code(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    socket = await view(await request_address(simulator))
    await socket.receive()
    socket._response.close()  # noqa: SLF001 - the only way to disconnect without a close frame
    await _wait_until_counted(simulator, "console_rfb", "none")


async def test_session_is_closed_after_a_minute(
    simulator: Simulator, request_address: RequestAddress, view: View, clock: FakeClock
) -> None:
    socket = await view(await request_address(simulator))
    await socket.receive()
    await clock.advance(59)
    receiving = asyncio.ensure_future(socket.receive())
    await asyncio.wait({receiving}, timeout=0.05)
    assert not receiving.done()
    await clock.advance(1)
    message = await receiving
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1000)
    await _wait_until_counted(simulator, "console_rfb", "1000")


async def test_messages_of_the_viewer_are_discarded(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    socket = await view(await request_address(simulator))
    await socket.receive()
    for _ in range(20):
        await socket.send_bytes(bytes(30_000))
    await socket.send_str("text")
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
    assert socket.protocol == chosen
    assert (await socket.receive()).data == _VERSION
    await socket.close()


async def test_other_subprotocols_are_rejected(
    simulator: Simulator, request_address: RequestAddress, view: View
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await view(await request_address(simulator), protocols=("base64",))
    assert caught.value.status == 400
    assert simulator.counts["alpha", "console_websocket", "400"] == 1


async def test_plain_request_to_the_websocket_path_returns_400(
    simulator: Simulator, request_address: RequestAddress, browser: aiohttp.ClientSession
) -> None:
    address = await request_address(simulator)
    url = address.join(URL("websockify")).with_query(address.query)
    async with browser.get(url) as response:
        assert response.status == 400


@_BOTH_PATHS
async def test_token_is_accepted_as_a_cookie(
    simulator: Simulator, request_address: RequestAddress, browser: aiohttp.ClientSession, path: str
) -> None:
    address = await request_address(simulator)
    headers = {"Cookie": f"session=x; token={address.query['token']}"}
    url = address.join(URL(path)).with_query(None)
    async with browser.ws_connect(url, headers=headers) as socket:
        assert (await socket.receive()).data == _VERSION


@_BOTH_PATHS
async def test_unknown_token_closes_the_connection(
    simulator: Simulator, request_address: RequestAddress, view: View, path: str
) -> None:
    address = (await request_address(simulator)).with_query(token="guessed")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await view(address, path)
    project = "alpha" if path == "websockify" else "none"
    # aiohttp retries once when the connection is closed.
    assert simulator.counts[project, "console_websocket", "none"] >= 1


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
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await view(address, path)


@_BOTH_PATHS
async def test_single_use_token_opens_one_websocket(
    document: dict[str, Any], start: Start, request_address: RequestAddress, view: View, path: str
) -> None:
    document["projects"][0]["console"] = {"single_use": True}
    address = await request_address(await start(document))
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await view(address, path, protocols=("base64",))
    await (await view(address, path)).close()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await view(address, path)


@pytest.mark.parametrize("host", ["db-01.cn-north-2", "db-02.cn-north-1", "none"])
async def test_token_is_rejected_for_another_server_or_project(
    simulator: Simulator, request_address: RequestAddress, view: View, host: str
) -> None:
    address = await request_address(simulator)
    with pytest.raises(aiohttp.ServerDisconnectedError):
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
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await view(address, other)
    assert caught.value.status == 404
    assert simulator.counts["alpha", "console_websocket", "404"] == 1
    socket = await view(address, path)
    assert (await socket.receive()).data == _VERSION
    await socket.close()


async def test_viewer_above_the_maximum_is_closed_before_the_first_byte(
    document: dict[str, Any], start: Start, request_address: RequestAddress, view: View
) -> None:
    document["projects"][0]["console"] = {"viewers": 1}
    simulator = await start(document)
    first = await view(await request_address(simulator))
    assert (await first.receive()).data == _VERSION
    second = await view(await request_address(simulator))
    assert (await second.receive()).type is WSMsgType.CLOSE
    assert second.close_code == 1013
    another = await view(await request_address(simulator, "id-2"))
    assert (await another.receive()).data == _VERSION
    await another.close()
    await first.close()
    await _wait_until_counted(simulator, "console_rfb", "1000")
    third = await view(await request_address(simulator))
    assert (await third.receive()).data == _VERSION
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
        return bytes((await socket.receive()).data)

    began = clock.monotonic()
    opening = asyncio.ensure_future(open_console())
    while not opening.done():
        await asyncio.sleep(0.005)
        await clock.advance(0.01)
    assert opening.result() == _VERSION
    # The login, the address, the WebSocket and the first bytes.
    assert clock.monotonic() - began >= 4 * 0.05
