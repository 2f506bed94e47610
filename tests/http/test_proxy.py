"""Requests through real proxies: tunnels, credentials, TLS to the proxy, and WebSockets."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from exporter.cloud.observer import Unobserved
from exporter.config.config import Tls
from exporter.config.secret import Secret
from exporter.http.deadline import Deadline
from exporter.http.errors import (
    ConnectionClosedError,
    HandshakeRefusedError,
    ProxyFailedError,
)
from exporter.http.transport import WireTransport
from tests.http.requests import get
from tests.real import broken_responses
from tests.real import cloud_responses as cloud
from tests.real.broken_responses import answers
from tests.real.broken_servers import BrokenServer
from tests.real.certificates import Certificates

GOOD = cloud.console_address()


@dataclass
class Tunnels:
    """A proxy that opens tunnels, whatever host they name, to one local port."""

    port: int
    url: str = ""
    heads: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            there, back = await asyncio.open_connection("127.0.0.1", self.port)
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, back))
                both.create_task(_copy(there, writer))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def proxy_to(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Tunnels]:
    tunnels = Tunnels(port)
    server = await asyncio.start_server(tunnels.serve, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    address = server.sockets[0].getsockname()
    tunnels.url = f"{scheme}://user:planted%20password@127.0.0.1:{address[1]}"
    try:
        yield tunnels
    finally:
        server.close()


def transport_through(proxy: str, authority: Path) -> WireTransport:
    return WireTransport(tls=Tls(ca_file=authority), proxy_url=Secret(proxy), observer=Unobserved())


@pytest.mark.parametrize("over_tls", [False, True], ids=["http proxy", "https proxy"])
async def test_requests_pass_a_tunnel_with_the_proxy_s_credentials(
    tmp_path: Path, *, over_tls: bool
) -> None:
    certificates = Certificates()
    authority = certificates.write_authority(tmp_path / "ca.pem")
    async with (
        BrokenServer(answers(GOOD), tls=certificates.good()) as server,
        proxy_to(server.port, certificates.good() if over_tls else None) as proxy,
    ):
        transport = transport_through(proxy.url, authority)
        # The proxy resolves the name; the certificate is the server's.
        for _ in range(2):
            response = await transport.handle_async_request(
                get(f"https://localhost:{server.port}/x")
            )
            assert response.status_code == 200
        await transport.aclose()

    (head,) = proxy.heads
    assert head.startswith(f"CONNECT localhost:{server.port} HTTP/1.1".encode())
    assert base64.b64encode(b"user:planted password") in head
    assert "proxy-authorization" not in server.requests[0].headers


async def test_a_websocket_passes_a_tunnel(tmp_path: Path) -> None:
    certificates = Certificates()
    authority = certificates.write_authority(tmp_path / "ca.pem")
    async with (
        BrokenServer(answers(cloud.response(404)), tls=certificates.good()) as server,
        proxy_to(server.port) as proxy,
    ):
        transport = transport_through(proxy.url, authority)
        with pytest.raises(HandshakeRefusedError) as caught:
            async with transport.websocket(
                httpx.URL(f"https://localhost:{server.port}/websockify"),
                headers={},
                subprotocols=("binary",),
                deadline=Deadline(5.0),
            ):
                pass
        await transport.aclose()

    assert caught.value.status == 404
    assert server.requests[0].headers["upgrade"] == "websocket"


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_refused_tunnel_is_the_proxy_s_failure(tmp_path: Path, status: int) -> None:
    certificates = Certificates()
    authority = certificates.write_authority(tmp_path / "ca.pem")
    async with BrokenServer(answers(cloud.response(status)), tls=certificates.good()) as proxy:
        url = proxy.url.replace("https://", "https://user:planted-password@")
        transport = transport_through(url, authority)
        with pytest.raises(ProxyFailedError, match=f"CONNECT with {status}") as caught:
            await transport.handle_async_request(get("https://api.example/x"))
        await transport.aclose()

    assert "planted" not in str(caught.value)
    assert caught.value.status == 0


async def test_what_fails_behind_a_tunnel_is_not_the_proxy_s_failure(tmp_path: Path) -> None:
    certificates = Certificates()
    authority = certificates.write_authority(tmp_path / "ca.pem")
    async with (
        BrokenServer(broken_responses.resets_at_second_request, tls=certificates.good()) as server,
        proxy_to(server.port) as proxy,
    ):
        transport = transport_through(proxy.url, authority)
        url = f"https://localhost:{server.port}/x"
        await transport.handle_async_request(get(url))
        with pytest.raises(ConnectionClosedError) as caught:
            await transport.handle_async_request(get(url))
        await transport.aclose()

    assert caught.value.stale


async def test_a_certificate_of_the_proxy_that_is_not_trusted_is_its_failure(
    tmp_path: Path,
) -> None:
    authority = Certificates().write_authority(tmp_path / "ca.pem")
    async with BrokenServer(answers(GOOD), tls=Certificates().good()) as proxy:
        transport = transport_through(proxy.url, authority)
        with pytest.raises(ProxyFailedError, match="TLS with the proxy failed: unable"):
            await transport.handle_async_request(get("https://api.example/x"))
        await transport.aclose()


async def test_another_proxy_in_the_file_gets_no_credentials_of_the_last_one(
    tmp_path: Path,
) -> None:
    file = tmp_path / "proxy"
    refuses = answers(cloud.response(407))
    async with BrokenServer(refuses) as old, BrokenServer(refuses) as new:
        file.write_text(old.url.replace("http://", "http://us%C3%A9r:planted@"))
        transport = WireTransport(tls=Tls(), proxy_url=Secret(file=file), observer=Unobserved())
        for text in (None, new.url, "http://999.1.1.1:3128"):
            if text is not None:
                file.write_text(text)
            with pytest.raises(ProxyFailedError):
                await transport.handle_async_request(get("https://api.example/x"))
        await transport.aclose()

    assert "proxy-authorization" in old.requests[0].headers
    assert len(new.requests) == 2
    assert not [one for one in new.requests if "proxy-authorization" in one.headers]


async def test_a_websocket_to_plain_http_passes_a_tunnel_too(tmp_path: Path) -> None:
    authority = Certificates().write_authority(tmp_path / "ca.pem")
    async with (
        BrokenServer(answers(cloud.response(404))) as server,
        proxy_to(server.port) as proxy,
    ):
        transport = transport_through(proxy.url, authority)
        with pytest.raises(HandshakeRefusedError):
            async with transport.websocket(
                httpx.URL(f"http://console.example:{server.port}/websockify"),
                headers={},
                subprotocols=(),
                deadline=Deadline(5.0),
            ):
                pass
        await transport.aclose()

    assert proxy.heads[0].startswith(b"CONNECT console.example:")
