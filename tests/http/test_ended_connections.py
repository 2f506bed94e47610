"""Closed connections are freed at once, without waiting for the garbage collector.

TLS takes 100 kB per connection that the collector does not count, so it would run too late.
"""

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from exporter.cloud.observer import Unobserved
from exporter.config.config import Tls
from exporter.http.connection import ObservedHandshake
from exporter.http.errors import RequestError
from exporter.http.request import Request, wire_url
from exporter.http.transport import Transport
from tests.real.certificates import Certificates

_CONCURRENT = 10
_WAIT_SECONDS = 5.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """Yield the URL of a TLS server, whose paths select a behaviour, and its CA file."""
    certificates = Certificates()
    pem = certificates.write_good(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem.certificate, pem.key)
    application = web.Application()
    application.router.add_get("/{behaviour}", _behave)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"https://{host}:{port}", certificates.write_authority(tmp_path / "ca.pem")
    await runner.cleanup()


async def _behave(request: web.Request) -> web.StreamResponse:
    behaviour = request.match_info["behaviour"]
    if behaviour == "hangs":
        await asyncio.sleep(_WAIT_SECONDS)
    if behaviour == "resets" and request.transport is not None:
        request.transport.abort()
    if behaviour == "websocket":
        upgraded = web.WebSocketResponse()
        await upgraded.prepare(request)
        await upgraded.receive()
        return upgraded
    response = web.Response(status=503 if behaviour == "refuses" else 200, text="{}")
    if behaviour == "closes":
        response.force_close()
    return response


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("behaviour", ["answers", "refuses", "closes", "resets", "hangs"])
async def test_a_closed_connection_leaks_no_tls_object(
    server: tuple[str, Path], behaviour: str
) -> None:
    url, authority = server
    transport = Transport(tls=Tls(ca_file=authority), proxy_url=None, observer=Unobserved())

    async def send() -> None:
        with suppress(RequestError):
            request = Request.to("GET", f"{url}/{behaviour}")
            await transport.send(request, timeout=0.5, max_bytes=100)

    await _check_for_leaks(send, transport.aclose)


@pytest.mark.usefixtures("no_collector")
async def test_a_closed_websocket_leaks_no_tls_object(server: tuple[str, Path]) -> None:
    url, authority = server
    transport = Transport(tls=Tls(ca_file=authority), proxy_url=None, observer=Unobserved())

    async def open_one() -> None:
        address = wire_url(httpx.URL(f"{url}/websocket"))
        async with transport.websocket(address, headers={}, subprotocols=(), timeout=5):
            pass

    await _check_for_leaks(open_one, transport.aclose)


async def _check_for_leaks(
    connect: Callable[[], Awaitable[None]], close: Callable[[], Awaitable[None]]
) -> None:
    async def connect_all() -> None:
        await asyncio.gather(*[connect() for _ in range(_CONCURRENT)])

    await asyncio.create_task(connect_all())
    await close()
    deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
    while _handshakes() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert _handshakes() == 0


def _handshakes() -> int:
    return sum(isinstance(instance, ObservedHandshake) for instance in gc.get_objects())
