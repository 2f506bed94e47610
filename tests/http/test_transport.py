"""Sending requests over real sockets: connections that are kept, names, and repeated requests."""

import asyncio
from pathlib import Path

import httpx
import pycurl
import pytest

from exporter.cloud.observer import Unobserved
from exporter.config.config import Tls
from exporter.http import transfer
from exporter.http.errors import NoResponse, NoResponseError
from exporter.http.transport import WireTransport
from tests.http.requests import get
from tests.real import broken_responses, broken_servers
from tests.real import cloud_responses as cloud
from tests.real.broken_responses import answers
from tests.real.broken_servers import BrokenServer
from tests.real.certificates import Certificates
from tests.real.recording_resolver import RecordingResolver

GOOD = cloud.console_address()


def transport_with(resolver: RecordingResolver | None = None) -> WireTransport:
    return WireTransport(tls=Tls(), proxy_url=None, observer=Unobserved(), resolver=resolver)


async def test_a_kept_connection_needs_no_name() -> None:
    names = RecordingResolver(lambda _: ["127.0.0.1"])
    transport = transport_with(names)
    async with BrokenServer(answers(GOOD)) as server:
        url = server.url.replace("127.0.0.1", "api.example")
        await transport.handle_async_request(get(url))
        names.requested.clear()
        await transport.handle_async_request(get(url))
        await transport.aclose()

    assert names.requested == set()
    assert server.connections == 1


async def test_a_new_connection_follows_a_name_that_has_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(transfer._OPTIONS, pycurl.DNS_CACHE_TIMEOUT, 1)  # noqa: SLF001
    address = "127.0.0.2"
    names = RecordingResolver(lambda _: [address])
    transport = transport_with(names)
    async with BrokenServer(answers(GOOD)) as server, asyncio.timeout(5):
        url = server.url.replace("127.0.0.1", "api.example")
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(get(url))
        address = "127.0.0.1"
        while True:
            try:
                response = await transport.handle_async_request(get(url))
            except httpx.ConnectError:
                await asyncio.sleep(0.1)
            else:
                break
        await transport.aclose()

    assert response.status_code == 200


async def test_a_dead_connection_costs_one_request_however_many_are_kept() -> None:
    transport = transport_with()
    async with BrokenServer(broken_responses.resets_at_second_request) as server:
        await asyncio.gather(*[transport.handle_async_request(get(server.url)) for _ in range(20)])
        assert server.connections == 20
        sent = len(server.requests)

        with pytest.raises(NoResponseError) as caught:
            await transport.handle_async_request(get(server.url))
        assert caught.value.stale
        assert len(server.requests) == sent + 1

        # The other connections are as old as that one, and are not tried.
        for _ in range(3):
            response = await transport.handle_async_request(get(server.url))
            assert response.status_code == 200
        await transport.aclose()


async def test_a_new_connection_that_breaks_is_not_stale() -> None:
    transport = transport_with()
    async with BrokenServer(broken_responses.answers_and_resets(b"")) as server:
        with pytest.raises(NoResponseError) as caught:
            await transport.handle_async_request(get(server.url))
        await transport.aclose()

    assert not caught.value.stale
    assert len(server.requests) == 1


async def test_headers_of_one_request_are_not_those_of_the_next() -> None:
    transport = transport_with()
    async with BrokenServer(answers(GOOD)) as server:
        for headers in ({"x-auth-token": "a"}, {"x-other": "b"}, {"user-agent": "c"}):
            request = get(server.url)
            request.headers.update(headers)
            await transport.handle_async_request(request)
        await transport.aclose()

    first, second, third = (request.headers for request in server.requests)
    assert (first["x-auth-token"], first["user-agent"]) == ("a", "console-exporter")
    assert "x-auth-token" not in second
    assert third["user-agent"] == "c"
    assert not {"accept", "expect", "content-type"} & first.keys()


async def test_another_server_name_is_verified_and_the_host_stays(tmp_path: Path) -> None:
    certificates = Certificates()
    tls = Tls(
        ca_file=certificates.write_authority(tmp_path / "ca.pem"), server_name="other.example"
    )
    transport = WireTransport(tls=tls, proxy_url=None, observer=Unobserved())
    async with BrokenServer(answers(GOOD), tls=certificates.wrong_name()) as server:
        await transport.handle_async_request(get(server.url))
        unprepared = httpx.Request(
            "GET",
            server.url,
            stream=httpx.ByteStream(b""),
            extensions=get(server.url).extensions,
        )
        await transport.handle_async_request(unprepared)
        await transport.aclose()

    host = server.url.removeprefix("https://")
    assert [request.headers["host"] for request in server.requests] == [host, host]


async def test_a_body_is_sent_with_its_method_and_not_with_the_next_request() -> None:
    transport = transport_with()
    async with BrokenServer(answers(GOOD)) as server:
        for method, content in (("POST", b"{}"), ("PUT", b""), ("GET", None)):
            request = httpx.Request(
                method, server.url, content=content, extensions=get(server.url).extensions
            )
            await transport.handle_async_request(request)
        await transport.aclose()

    assert [(one.method, one.body) for one in server.requests] == [
        ("POST", b"{}"),
        ("PUT", b""),
        ("GET", b""),
    ]


async def test_the_earliest_expiry_of_the_whole_chain_is_reported(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []

    class Observer(Unobserved):
        def certificate_seen(self, host: str, expires_at: float) -> None:
            seen.append((host, expires_at))

    certificates = Certificates()
    authority = certificates.write_authority(tmp_path / "ca.pem")
    transport = WireTransport(tls=Tls(ca_file=authority), proxy_url=None, observer=Observer())
    async with BrokenServer(answers(GOOD), tls=certificates.good()) as server:
        await transport.handle_async_request(get(server.url))
        await transport.handle_async_request(get(server.url))
        await transport.aclose()

    ((host, expires_at),) = seen
    assert host == httpx.URL(server.url).host
    assert expires_at > 1.8e9


@pytest.mark.parametrize("cut", [b"HTTP/1.1 200 OK\r\nlink: x\r\n", b"HTTP/1.1 429 Slow\r\n"])
async def test_a_response_that_ends_within_its_headers_is_malformed(cut: bytes) -> None:
    transport = transport_with()
    async with BrokenServer(broken_responses.answers_and_closes(cut)) as server:
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await transport.handle_async_request(get(server.url))
        await transport.aclose()

    assert caught.value.status == 0  # type: ignore[attr-defined]


async def test_a_body_stays_in_no_handle() -> None:
    transport = transport_with()
    async with BrokenServer(answers(GOOD)) as server:
        request = httpx.Request(
            "POST", server.url, content=b"planted", extensions=get(server.url).extensions
        )
        await transport.handle_async_request(request)
        assert transport._idle == []  # noqa: SLF001 - what is kept shows nowhere else
        await transport.aclose()


async def test_a_request_under_which_the_connections_are_closed_fails() -> None:
    transport = transport_with()
    async with BrokenServer(broken_servers.stalls) as server:
        sending = asyncio.create_task(transport.handle_async_request(get(server.url)))
        await asyncio.sleep(0.05)
        await transport.aclose()
        with pytest.raises(NoResponseError) as caught:
            await sending
        with pytest.raises(NoResponseError):
            await transport.handle_async_request(get(server.url))

    assert caught.value.reason is NoResponse.EXHAUSTED


async def test_an_address_that_failed_before_another_connected_explains_nothing() -> None:
    # Nothing listens at the first address.
    names = RecordingResolver(lambda _: ["127.0.0.9", "127.0.0.1"])
    transport = transport_with(names)
    async with BrokenServer(broken_servers.closes) as server:
        url = server.url.replace("127.0.0.1", "api.example")
        with pytest.raises(NoResponseError) as caught:
            await transport.handle_async_request(get(url))
        await transport.aclose()

    assert caught.value.reason is NoResponse.CLOSED
    assert "refused" not in str(caught.value)
