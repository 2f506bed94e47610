"""Connections to consoles are timed, verified and reported like those to the cloud's API."""

import os
import resource
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.cloud.observer import Unobserved
from exporter.config.config import Tls
from exporter.model import Stage
from exporter.outcome import Outcome
from tests.real import silent_ports
from tests.real.certificates import Certificates
from tests.real.probing import probe_once, probing
from tests.real.raw_console import PAGE, TOKEN, console


class Recorder(Unobserved):
    """Records the reported connections and certificates."""

    def __init__(self) -> None:
        self.phases: list[Mapping[str, float]] = []
        self.certificates: list[tuple[str, float]] = []

    def connection_opened(self, phases: Mapping[str, float]) -> None:
        self.phases.append(phases)

    def certificate_seen(self, host: str, expires_at: float) -> None:
        self.certificates.append((host, expires_at))


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture
def trusting(certificates: Certificates, tmp_path: Path) -> Tls:
    return Tls(ca_file=certificates.write_authority(tmp_path / "ca.pem"))


async def test_phases_and_certificate_of_the_console_host_are_reported(
    certificates: Certificates, trusting: Tls
) -> None:
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=5)
    recorder = Recorder()
    async with console(tls=certificates.good(not_after=expires), trust=trusting) as gateway:
        named = gateway.server.url.replace("127.0.0.1", "localhost")
        async with (
            console(
                address=f"{named}{PAGE}?token={TOKEN}", allowed=["localhost"], trust=trusting
            ) as api,
            probing(api.api, depth=Stage.RFB, console=api.settings, observer=recorder) as probe,
        ):
            result = await probe()

    assert result.outcome is Outcome.SUCCESS, result.detail
    over_tls = [phases for phases in recorder.phases if "tls" in phases]
    # One for the page, one for the WebSocket.
    assert len(over_tls) == 2
    assert all(phases.keys() == {"dns", "connect", "tls"} for phases in over_tls)
    assert all(0 < seconds < 5 for phases in over_tls for seconds in phases.values())
    assert set(recorder.certificates) == {("localhost", expires.timestamp())}


@pytest.mark.parametrize("kind", ["wrong_name", "expired", "unknown_authority", "self_signed"])
async def test_an_untrusted_certificate_is_a_tls_error_and_no_token_is_sent(
    certificates: Certificates, trusting: Tls, kind: str
) -> None:
    async with console(tls=getattr(certificates, kind)(), trust=trusting) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.TLS_ERROR, Stage.PAGE), result.detail
    assert gateway.server.requests == []


async def test_tls_settings_of_the_api_do_not_apply_to_consoles(
    certificates: Certificates, trusting: Tls
) -> None:
    async with console(tls=certificates.good()) as gateway:
        result = await probe_once(
            gateway.api, depth=Stage.RFB, console=gateway.settings, tls=trusting
        )

    assert (result.outcome, result.failed_stage) == (Outcome.TLS_ERROR, Stage.PAGE)


async def test_the_configured_server_name_is_verified_for_page_and_websocket(
    certificates: Certificates, trusting: Tls
) -> None:
    named = Tls(ca_file=trusting.ca_file, server_name="other.example")
    async with console(tls=certificates.wrong_name(), trust=named) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS, result.detail


async def test_verification_can_be_disabled_for_consoles_only(
    certificates: Certificates,
) -> None:
    unverified = Tls(insecure_skip_verify=True)
    async with console(tls=certificates.expired(), trust=unverified) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS, result.detail


@pytest.fixture
def exhaust_file_descriptors() -> Iterator[Callable[[], None]]:
    """Yield a function that lowers the process's limit so that no file can be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def exhaust() -> None:
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))

    yield exhaust
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_running_out_of_file_descriptors_is_an_internal_error(
    exhaust_file_descriptors: Callable[[], None],
) -> None:
    with silent_ports.closed_port() as url:
        async with probing(url) as probe:
            exhaust_file_descriptors()
            result = await probe()

    assert result.outcome is Outcome.INTERNAL_ERROR, result.detail
    assert "Too many open files" in result.detail
