"""What a connection held is given back when it ends, without the garbage collector.

Its TLS takes 100 kB that the collector does not see, and so does not hurry for.
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

_AT_ONCE = 10
_PATIENCE_SECONDS = 5.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """Yield a TLS server's address, whose paths say how it behaves, and its authority."""
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
        await asyncio.sleep(_PATIENCE_SECONDS)
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
async def test_a_connection_that_ended_holds_nothing(
    server: tuple[str, Path], behaviour: str
) -> None:
    url, authority = server
    transport = Transport(tls=Tls(ca_file=authority), proxy_url=None, observer=Unobserved())

    async def send() -> None:
        with suppress(RequestError):
            request = Request.to("GET", f"{url}/{behaviour}")
            await transport.send(request, timeout=0.5, max_bytes=100)

    await _ends_without_a_trace(send, transport.aclose)


@pytest.mark.usefixtures("no_collector")
async def test_a_websocket_that_ended_holds_nothing(server: tuple[str, Path]) -> None:
    url, authority = server
    transport = Transport(tls=Tls(ca_file=authority), proxy_url=None, observer=Unobserved())

    async def open_one() -> None:
        address = wire_url(httpx.URL(f"{url}/websocket"))
        async with transport.websocket(address, headers={}, subprotocols=(), timeout=5):
            pass

    await _ends_without_a_trace(open_one, transport.aclose)


async def _ends_without_a_trace(
    once: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]]
) -> None:
    async def many() -> None:
        await asyncio.gather(*[once() for _ in range(_AT_ONCE)])

    await asyncio.create_task(many())
    await end()
    give_up = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while _handshakes() and asyncio.get_running_loop().time() < give_up:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert _handshakes() == 0


def _handshakes() -> int:
    return sum(isinstance(one, ObservedHandshake) for one in gc.get_objects())
