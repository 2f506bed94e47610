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

BELOW = "/vnc/host-1.cn-southwest-242"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # Probes never log in; TigerVNC would block websockify's host for too many failed logins.
    with console_gateway(tmp_path_factory.mktemp("gateway"), "-UseBlacklist=0") as running:
        yield running


async def assert_all_stages_pass(gateway: Gateway, base: str) -> None:
    result = await probe_console(page(base), gateway.trusting, depth=Stage.SECURITY)

    assert (result.outcome, result.failed_stage) == (Outcome.SUCCESS, None), result.detail
    assert [timing.stage for timing in result.stages] == list(Stage)
    assert all(timing.passed and timing.seconds > 0 for timing in result.stages)
    assert [timing.note for timing in result.stages[-2:]] == ["RFB 003.008", "None"]


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


@pytest.mark.parametrize("depth", [Stage.RFB, Stage.SECURITY])
async def test_a_probe_sends_at_most_its_version_and_disconnects(
    gateway: Gateway, depth: Stage
) -> None:
    before = len(gateway.vnc.lines)

    await probe_console(page(gateway.url), gateway.trusting, depth=depth)

    def logged() -> str:
        return "".join(gateway.vnc.lines[before:])

    await asyncio.to_thread(until, lambda: "Connections: closed" in logged(), 30)
    assert "Connections: accepted" in logged()
    # TigerVNC logs these when a client sends its own version, and when it chooses a security type.
    assert ("Client needs protocol version" in logged()) == (depth is Stage.SECURITY)
    assert "Client requests security type" not in logged()


@pytest.mark.parametrize("depth", [Stage.RFB, Stage.SECURITY])
async def test_a_hundred_probes_do_not_disconnect_a_viewer(gateway: Gateway, depth: Stage) -> None:
    before = len(gateway.vnc.lines)
    async with (
        viewer(websocket(gateway), gateway.authority) as person,
        probing_console(page(gateway.url), gateway.trusting, depth=depth) as probe,
    ):
        assert await person.update() > 0
        for _ in range(20):
            results = await asyncio.gather(*(probe() for _ in range(5)))
            assert {result.outcome for result in results} == {Outcome.SUCCESS}
        assert await person.update() > 0

        def count(event: str) -> int:
            return len(re.findall(f"Connections: {event}", "".join(gateway.vnc.lines[before:])))

        await asyncio.to_thread(until, lambda: count("closed") == 100, 30)
        assert count("accepted") == 101


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        pytest.param(["-SecurityTypes", ""], "No supported security types", id="3.8"),
        # Version 3.3 has no TLS.
        pytest.param(
            ["-SecurityTypes", "TLSNone", "-Protocol3.3"],
            "No supported security type for 3.3 client",
            id="3.3",
        ),
    ],
)
async def test_a_server_that_refuses_every_viewer_fails_at_stage_security(
    tmp_path: Path, parameters: list[str], reason: str
) -> None:
    with console_gateway(tmp_path, "-UseBlacklist=0", *parameters) as gateway:
        shallow = await probe_console(page(gateway.url), gateway.trusting, depth=Stage.RFB)
        deep = await probe_console(page(gateway.url), gateway.trusting, depth=Stage.SECURITY)

    assert shallow.outcome is Outcome.SUCCESS
    assert (deep.outcome, deep.failed_stage) == (Outcome.RFB_ERROR, Stage.SECURITY), deep.detail
    assert reason in deep.detail


@pytest.mark.parametrize("depth", [Stage.WEBSOCKET, Stage.RFB, Stage.SECURITY])
@retry_if_machine_stalled
async def test_tigervnc_blocks_new_viewers_after_five_probes_by_default(
    tmp_path: Path, depth: Stage
) -> None:
    """Check the documented limitation: all probes come from the gateway's host and never log in."""
    with console_gateway(tmp_path, "-BlacklistTimeout=4") as gateway:
        async with (
            viewer(websocket(gateway), gateway.authority) as early,
            probing_console(page(gateway.url), gateway.trusting, depth=depth) as probe,
        ):
            for _ in range(5):
                assert (await probe()).outcome is Outcome.SUCCESS
            if depth is not Stage.WEBSOCKET:
                blocked = await probe()
                assert (blocked.outcome, blocked.failed_stage) == (Outcome.BUSY, Stage.RFB)
                assert "Too many security failures" in blocked.detail
            with pytest.raises(RefusedError, match="Too many security failures"):
                async with viewer(websocket(gateway), gateway.authority):
                    pass
            # An open viewer stays connected, and the block ends after its timeout.
            assert await early.update() > 0
            await asyncio.sleep(4.5)
            async with viewer(websocket(gateway), gateway.authority) as late:
                assert await late.update() > 0


@retry_if_machine_stalled
async def test_a_probe_after_the_block_starts_one_that_is_twice_as_long(tmp_path: Path) -> None:
    with console_gateway(tmp_path, "-BlacklistTimeout=2") as gateway:
        async with probing_console(
            page(gateway.url), gateway.trusting, depth=Stage.SECURITY
        ) as probe:
            first = [(await probe()).outcome for _ in range(6)]
            await asyncio.sleep(2.5)
            second = [(await probe()).outcome for _ in range(2)]
            await asyncio.sleep(2.5)
            third = (await probe()).outcome

    assert first == [Outcome.SUCCESS] * 5 + [Outcome.BUSY]
    assert second == [Outcome.SUCCESS, Outcome.BUSY]
    assert third is Outcome.BUSY


def websocket(gateway: Gateway) -> str:
    return f"{gateway.url.replace('https', 'wss')}/websockify?token={TOKEN}"
