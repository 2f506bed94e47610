"""Requests that ended hold no connection and no handle, without the garbage collector."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pycurl
import pytest

from exporter.cloud.observer import Unobserved
from exporter.config.config import Tls
from exporter.http.deadline import Deadline
from exporter.http.transport import WireTransport
from tests.http.requests import get
from tests.real import broken_responses, broken_servers
from tests.real import cloud_responses as cloud
from tests.real.broken_responses import answers, answers_and_closes
from tests.real.broken_servers import Behaviour, BrokenServer
from tests.real.certificates import Certificates
from tests.real.leak_check import asserting_no_leaks

_CONCURRENT = 10
GOOD = cloud.console_address()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answers(GOOD), id="answers"),
        pytest.param(answers(cloud.response(503)), id="refuses"),
        pytest.param(broken_responses.closes_after_response, id="closes"),
        pytest.param(answers_and_closes(GOOD[:-9]), id="cuts the body"),
        pytest.param(broken_servers.resets, id="resets"),
        pytest.param(broken_servers.stalls, id="hangs"),
    ],
)
async def test_requests_that_ended_hold_nothing(behaviour: Behaviour, tmp_path: Path) -> None:
    certificates = Certificates()
    authority = certificates.write_authority(tmp_path / "ca.pem")
    async with (
        asserting_no_leaks(),
        BrokenServer(behaviour, tls=certificates.good()) as server,
    ):
        transport = _transport(authority)

        async def send() -> None:
            with suppress(httpx.RequestError):
                await transport.handle_async_request(get(server.url, seconds=0.5))

        await _run_concurrently(send)
        await transport.aclose()
        assert _handles() == 0


@pytest.mark.usefixtures("no_collector")
async def test_a_cancelled_request_holds_nothing(tmp_path: Path) -> None:
    certificates = Certificates()
    authority = certificates.write_authority(tmp_path / "ca.pem")
    async with (
        asserting_no_leaks(),
        BrokenServer(broken_servers.stalls, tls=certificates.good()) as server,
    ):
        transport = _transport(authority)

        async def send() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await transport.handle_async_request(get(server.url))

        await _run_concurrently(send)
        await transport.aclose()
        assert _handles() == 0


@pytest.mark.usefixtures("no_collector")
async def test_a_websocket_that_ended_holds_nothing(tmp_path: Path) -> None:
    certificates = Certificates()
    authority = certificates.write_authority(tmp_path / "ca.pem")
    async with (
        asserting_no_leaks(),
        BrokenServer(answers(cloud.response(404)), tls=certificates.good()) as server,
    ):
        transport = _transport(authority)

        async def connect() -> None:
            with suppress(httpx.RequestError):
                async with transport.websocket(
                    httpx.URL(server.url), headers={}, subprotocols=(), deadline=Deadline(5)
                ):
                    pass

        await _run_concurrently(connect)
        await transport.aclose()
        assert _handles() == 0


def _transport(authority: Path) -> WireTransport:
    return WireTransport(tls=Tls(ca_file=authority), proxy_url=None, observer=Unobserved())


async def _run_concurrently(connect: Callable[[], Awaitable[None]]) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*[connect() for _ in range(_CONCURRENT)])

    # In a task of its own, whose frames are gone when it ends.
    await asyncio.create_task(all_of_them())


def _handles() -> int:
    return sum(isinstance(instance, pycurl.Curl) for instance in gc.get_objects())
