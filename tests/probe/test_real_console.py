"""Deep probes against a real console: TigerVNC behind websockify and nginx."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.cloud.observer import Unobserved
from exporter.model import Stage
from exporter.outcome import Outcome
from tests.real.console_gateway import (
    EXPIRES,
    Gateway,
    console_gateway,
    page,
    probe_console,
    probing_console,
)
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.nginx import nginx, passing
from tests.real.programs import until
from tests.real.raw_console import TOKEN
from tests.real.vnc import RefusedError, viewer

STAGES = [Stage.API, Stage.PAGE, Stage.WEBSOCKET, Stage.RFB]
BELOW = "/vnc/host-1.cn-southwest-242"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # Probes never log in; TigerVNC would block websockify's host for too many failed logins.
    with console_gateway(tmp_path_factory.mktemp("gateway"), "-UseBlacklist=0") as running:
        yield running


async def assert_all_stages_pass(gateway: Gateway, base: str) -> None:
    result = await probe_console(page(base), gateway.trusting)

    assert (result.outcome, result.failed_stage) == (Outcome.SUCCESS, None), result.detail
    assert [timing.stage for timing in result.stages] == STAGES
    assert all(timing.passed and timing.seconds > 0 for timing in result.stages)


async def test_a_console_at_the_root_passes_all_stages(gateway: Gateway) -> None:
    await assert_all_stages_pass(gateway, gateway.url)


async def test_a_websocket_in_the_folder_of_its_page_is_found(
    gateway: Gateway, tmp_path: Path
) -> None:
    with nginx(tmp_path, gateway.pem, passing(f"{BELOW}/", f"{gateway.url}/")) as front:
        await assert_all_stages_pass(gateway, front.url + BELOW)


async def test_a_websocket_at_the_root_of_the_host_is_found(
    gateway: Gateway, tmp_path: Path
) -> None:
    with nginx(
        tmp_path,
        gateway.pem,
        passing(f"{BELOW}/", f"{gateway.url}/", directives=""),
        passing("/websockify", gateway.url),
    ) as front:
        await assert_all_stages_pass(gateway, front.url + BELOW)


class CertificateRecorder(Unobserved):
    def __init__(self) -> None:
        self.expiries: set[tuple[str, float]] = set()

    def certificate_seen(self, host: str, expires_at: float) -> None:
        self.expiries.add((host, expires_at))


async def test_the_certificate_expiry_of_the_console_is_reported(gateway: Gateway) -> None:
    recorder = CertificateRecorder()
    async with probing_console(page(gateway.url), gateway.trusting, observer=recorder) as probe:
        await probe()

    assert recorder.expiries == {("127.0.0.1", EXPIRES.timestamp())}


async def test_a_probe_sends_nothing_to_the_console_and_disconnects(gateway: Gateway) -> None:
    before = len(gateway.vnc.lines)

    await probe_console(page(gateway.url), gateway.trusting)

    def logged() -> str:
        return "".join(gateway.vnc.lines[before:])

    await asyncio.to_thread(until, lambda: "Connections: closed" in logged(), 30)
    assert "Connections: accepted" in logged()
    # TigerVNC logs this when a client sends its own version.
    assert "Client needs protocol version" not in logged()


async def test_a_hundred_probes_do_not_disconnect_a_viewer(gateway: Gateway) -> None:
    before = len(gateway.vnc.lines)
    async with (
        viewer(f"{gateway.url.replace('https', 'wss')}/websockify?token={TOKEN}",
               gateway.authority) as person,
        probing_console(page(gateway.url), gateway.trusting) as probe,
    ):  # fmt: skip
        assert await person.update() > 0
        for _ in range(20):
            results = await asyncio.gather(*(probe() for _ in range(5)))
            assert {result.outcome for result in results} == {Outcome.SUCCESS}
        assert await person.update() > 0

        def count(event: str) -> int:
            return len(re.findall(f"Connections: {event}", "".join(gateway.vnc.lines[before:])))

        await asyncio.to_thread(until, lambda: count("closed") == 100, 30)
        assert count("accepted") == 101


@retry_if_machine_stalled
async def test_tigervnc_blocks_new_viewers_after_five_probes_by_default(
    tmp_path: Path,
) -> None:
    """Check the documented limitation: all probes come from the gateway's host and never log in."""
    with console_gateway(tmp_path, "-BlacklistTimeout=4") as gateway:
        address = f"{gateway.url.replace('https', 'wss')}/websockify?token={TOKEN}"
        async with (
            viewer(address, gateway.authority) as early,
            probing_console(page(gateway.url), gateway.trusting) as probe,
        ):
            for _ in range(5):
                assert (await probe()).outcome is Outcome.SUCCESS
            blocked = await probe()
            assert (blocked.outcome, blocked.failed_stage) == (Outcome.RFB_ERROR, Stage.RFB)
            assert "Too many security failures" in blocked.detail
            with pytest.raises(RefusedError, match="Too many security failures"):
                async with viewer(address, gateway.authority):
                    pass
            # An open viewer stays connected, and the block ends after its timeout.
            assert await early.update() > 0
            await asyncio.sleep(4.5)
            async with viewer(address, gateway.authority) as late:
                assert await late.update() > 0
