"""Each failure of a real console gives its own outcome, stage and detail."""

import asyncio
import contextlib
import os
import re
import signal
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome
from tests.real import silent_ports
from tests.real.broken_servers import Behaviour, BrokenServer, Connection
from tests.real.certificates import PemFiles
from tests.real.cloud_responses import MIB
from tests.real.console_gateway import QUERY, Gateway, console_gateway, page, probe_console
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.nginx import nginx, passing, returning
from tests.real.probing import AMPLE_TIMEOUT, DEEP_TIMEOUT
from tests.real.programs import until
from tests.real.raw_console import TOKEN, VERSION, sends, sends_and_closes
from tests.real.vnc import vnc_server
from tests.real.websockify import websockify

PIECE = bytes(1 << 16)
BELOW = "/vnc/host-1.cn-southwest-242"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with console_gateway(tmp_path_factory.mktemp("gateway"), "-UseBlacklist=0") as running:
        yield running


@contextlib.contextmanager
def token_file(gateway: Gateway, text: str) -> Iterator[None]:
    before = gateway.tokens.read_text()
    gateway.tokens.write_text(text)
    try:
        yield
    finally:
        gateway.tokens.write_text(before)


def check(result: ProbeResult, outcome: Outcome, stage: Stage, pattern: str) -> None:
    assert (result.outcome, result.failed_stage) == (outcome, stage), result.detail
    assert result.stages[-1].stage is stage
    assert re.search(pattern, result.detail), result.detail
    # No detail holds any part of the page's query.
    assert not re.search(r"token|unknown-to-all|resize=", result.detail), result.detail


def check_rejected(result: ProbeResult, pattern: str) -> None:
    check(result, Outcome.WEBSOCKET_REJECTED, Stage.WEBSOCKET, pattern)


# ---- websockify and the VNC server behind it


async def test_a_stopped_vnc_server_closes_the_websocket_with_1011(gateway: Gateway) -> None:
    with vnc_server() as vnc:
        vnc.stop()
        with token_file(gateway, f"{TOKEN}: {vnc.url}\n"):
            result = await probe_console(page(gateway.url), gateway.trusting)

    check_rejected(result, r"\b1011\b")


async def test_an_unknown_token_closes_the_connection_without_a_response(gateway: Gateway) -> None:
    address = page(gateway.url, QUERY.replace(TOKEN, "unknown-to-all"))

    check_rejected(
        await probe_console(address, gateway.trusting), "/websockify .*without a response"
    )


async def test_an_unknown_token_is_a_502_behind_nginx(gateway: Gateway, tmp_path: Path) -> None:
    with nginx(tmp_path, gateway.pem, passing(f"{BELOW}/", f"{gateway.url}/")) as front:
        address = page(front.url + BELOW, QUERY.replace(TOKEN, "unknown-to-all"))
        result = await probe_console(address, gateway.trusting)

    check_rejected(result, rf"{BELOW}/websockify answered 502; /websockify answered 404")


async def test_a_lost_token_file_rejects_every_websocket(gateway: Gateway) -> None:
    moved = gateway.tokens.rename(gateway.tokens.with_suffix(".moved"))
    try:
        result = await probe_console(page(gateway.url), gateway.trusting)
    finally:
        moved.rename(gateway.tokens)

    check_rejected(result, "/websockify .*without a response")


async def test_a_stopped_gateway_is_a_connect_error(gateway: Gateway) -> None:
    with websockify(gateway.tokens, gateway.pem) as proxy:
        proxy.stop()
        result = await probe_console(page(proxy.url), gateway.trusting)

    check(result, Outcome.CONNECT_ERROR, Stage.PAGE, "cannot connect to 127.0.0.1:[0-9]+")


# ---- nginx in front


async def behind(
    folder: Path, gateway: Gateway, *locations: str, pem: PemFiles | None = None
) -> ProbeResult:
    """Probe a console whose page is below a path of an nginx with ``locations``."""
    with nginx(folder, pem or gateway.pem, *locations) as front:
        return await probe_console(page(front.url + BELOW), gateway.trusting)


async def test_a_proxy_that_drops_the_upgrade_rejects_the_websocket(
    gateway: Gateway, tmp_path: Path
) -> None:
    without_upgrade = passing(f"{BELOW}/", f"{gateway.url}/", directives="")

    check_rejected(
        await behind(tmp_path, gateway, without_upgrade), f"{BELOW}/websockify answered 40[45]"
    )


async def test_a_502_for_the_page_is_a_page_error(gateway: Gateway, tmp_path: Path) -> None:
    with silent_ports.closed_port() as closed:
        result = await behind(tmp_path, gateway, passing("/", closed))

    check(result, Outcome.PAGE_ERROR, Stage.PAGE, "answered 502")


async def test_a_502_for_the_websocket_alone_rejects_it(gateway: Gateway, tmp_path: Path) -> None:
    with silent_ports.closed_port() as closed:
        result = await behind(
            tmp_path,
            gateway,
            passing(f"{BELOW}/", f"{gateway.url}/"),
            passing(f"{BELOW}/websockify", closed),
        )

    check_rejected(result, "answered 502")


@pytest.mark.parametrize(
    ("kind", "detail"),
    [("write_wrong_name", "127.0.0.1"), ("write_expired", "certificate has expired")],
)
async def test_an_untrusted_certificate_is_a_tls_error(
    gateway: Gateway, tmp_path: Path, kind: str, detail: str
) -> None:
    pem = getattr(gateway.certificates, kind)(tmp_path)
    location = passing(f"{BELOW}/", f"{gateway.url}/")

    result = await behind(tmp_path, gateway, location, pem=pem)

    check(result, Outcome.TLS_ERROR, Stage.PAGE, detail)


async def test_a_missing_page_is_a_page_error(gateway: Gateway, tmp_path: Path) -> None:
    result = await behind(tmp_path, gateway, passing("/", f"{gateway.url}/no-such-folder/"))

    check(result, Outcome.PAGE_ERROR, Stage.PAGE, "answered 404")


async def test_a_page_that_is_not_html_is_a_page_error(gateway: Gateway, tmp_path: Path) -> None:
    result = await behind(tmp_path, gateway, returning("/", 200, "application/octet-stream"))

    check(result, Outcome.PAGE_ERROR, Stage.PAGE, "content type is not HTML")


# ---- Frozen processes, and services that are not VNC servers


@pytest.mark.parametrize(
    ("frozen", "seconds", "stage", "detail"),
    [
        pytest.param(
            "proxy", DEEP_TIMEOUT, Stage.PAGE, "no complete response within", id="websockify"
        ),
        # Long enough for a busy machine to reach the last stage.
        pytest.param("vnc", 4.0, Stage.RFB, "0 of 12 bytes", id="the VNC server"),
    ],
)
@retry_if_machine_stalled
async def test_a_frozen_process_is_a_timeout_at_its_stage(
    gateway: Gateway, frozen: str, seconds: float, stage: Stage, detail: str
) -> None:
    process = getattr(gateway, frozen).process
    process.send_signal(signal.SIGSTOP)
    try:
        result = await probe_console(page(gateway.url), gateway.trusting, timeout=seconds)
    finally:
        process.send_signal(signal.SIGCONT)

    check(result, Outcome.TIMEOUT, stage, detail)


@retry_if_machine_stalled
async def test_a_page_that_trickles_in_is_a_timeout(gateway: Gateway, tmp_path: Path) -> None:
    slow = passing(f"{BELOW}/", f"{gateway.url}/", directives="limit_rate 1; gzip off;")
    with nginx(tmp_path, gateway.pem, slow) as front:
        result = await probe_console(
            page(front.url + BELOW), gateway.trusting, timeout=DEEP_TIMEOUT
        )

    check(result, Outcome.TIMEOUT, Stage.PAGE, "no complete response within")


async def test_a_killed_gateway_ends_the_websocket_with_1006(
    gateway: Gateway,
) -> None:
    gateway.vnc.process.send_signal(signal.SIGSTOP)
    try:
        with websockify(gateway.tokens, gateway.pem) as proxy:
            probing = asyncio.create_task(probe_console(page(proxy.url), gateway.trusting))
            await asyncio.to_thread(until, lambda: "connecting to:" in proxy.output, 30)
            for handler in handlers(proxy.process.pid):
                os.kill(handler, signal.SIGKILL)
            result = await probing
    finally:
        gateway.vnc.process.send_signal(signal.SIGCONT)

    check_rejected(result, r"\b1006\b")


def handlers(pid: int) -> list[int]:
    """Return the ids of the processes that websockify runs for its connections."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert children
    return [int(child) for child in children]


async def probe_through_websockify(
    gateway: Gateway, behaviour: Behaviour, *, seconds: float = AMPLE_TIMEOUT
) -> ProbeResult:
    """Probe a console whose VNC server behaves as ``behaviour``."""
    async with BrokenServer(behaviour) as server:
        with token_file(gateway, f"{TOKEN}: {server.host}:{server.port}\n"):
            return await probe_console(page(gateway.url), gateway.trusting, timeout=seconds)


async def resets_at_once(connection: Connection) -> None:
    connection.reset()


async def floods(connection: Connection) -> None:
    for _ in range(10 * MIB // len(PIECE)):
        await connection.send(PIECE)


async def floods_after_a_version(connection: Connection) -> None:
    await connection.send(VERSION)
    await asyncio.sleep(0.05)
    await floods(connection)


@pytest.mark.parametrize(
    ("behaviour", "outcome", "stage", "detail"),
    [
        pytest.param(
            sends_and_closes(),
            Outcome.WEBSOCKET_REJECTED,
            Stage.WEBSOCKET,
            r"\b1000\b",
            id="closes",
        ),
        pytest.param(
            resets_at_once, Outcome.WEBSOCKET_REJECTED, Stage.WEBSOCKET, r"\b1006\b", id="resets"
        ),
        pytest.param(
            sends_and_closes(VERSION[:5]),
            Outcome.RFB_ERROR,
            Stage.RFB,
            "5 of 12",
            id="closes early",
        ),
        pytest.param(
            sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
            Outcome.RFB_ERROR,
            Stage.RFB,
            "not a known RFB",
            id="SSH",
        ),
    ],
)
async def test_a_service_that_is_not_vnc_is_detected(
    gateway: Gateway, behaviour: Behaviour, outcome: Outcome, stage: Stage, detail: str
) -> None:
    check(await probe_through_websockify(gateway, behaviour), outcome, stage, detail)


@retry_if_machine_stalled
async def test_a_version_that_trickles_in_is_a_timeout_with_the_bytes_received(
    gateway: Gateway,
) -> None:
    trickling = sends(*(bytes([byte]) for byte in VERSION), every=1.0)

    result = await probe_through_websockify(gateway, trickling, seconds=4.0)

    check(result, Outcome.TIMEOUT, Stage.RFB, "[1-4] of 12 bytes")


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(floods, Outcome.RFB_ERROR, id="no version"),
        pytest.param(floods_after_a_version, Outcome.SUCCESS, id="a version first"),
    ],
)
async def test_a_flood_of_ten_mebibytes_is_not_read(
    gateway: Gateway, behaviour: Behaviour, outcome: Outcome
) -> None:
    started = time.monotonic()
    tracemalloc.start()
    try:
        result = await probe_through_websockify(gateway, behaviour)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert result.outcome is outcome, result.detail
    assert peak < 4 * MIB
    # The probe does not wait for the flooding server's close frame.
    assert time.monotonic() - started < 9
