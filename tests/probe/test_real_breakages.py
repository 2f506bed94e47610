"""Each way in which a real console breaks gives its own outcome, stage and words."""

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
from tests.real.cloud_answers import MIB
from tests.real.console_gateway import QUERY, Gateway, console_gateway, page, probe_console
from tests.real.nginx import nginx, passing, returning
from tests.real.probing import DEEP, IN_TIME
from tests.real.programs import until
from tests.real.raw_console import TOKEN, VERSION, says, says_and_ends
from tests.real.standstill import unless_the_machine_stood_still
from tests.real.vnc import vnc_server
from tests.real.websockify import websockify

PIECE = bytes(1 << 16)
BELOW = "/vnc/host-1.cn-southwest-242"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with console_gateway(tmp_path_factory.mktemp("gateway"), "-UseBlacklist=0") as running:
        yield running


@contextlib.contextmanager
def tokens_are(gateway: Gateway, text: str) -> Iterator[None]:
    before = gateway.tokens.read_text()
    gateway.tokens.write_text(text)
    try:
        yield
    finally:
        gateway.tokens.write_text(before)


def check(result: ProbeResult, outcome: Outcome, stage: Stage, words: str) -> None:
    assert (result.outcome, result.failed_stage) == (outcome, stage), result.detail
    assert result.stages[-1].stage is stage
    assert re.search(words, result.detail), result.detail
    # The page's token, other than the one planted, is in no detail either.
    assert not re.search(r"token|unknown-to-all|resize=", result.detail), result.detail


def rejected(result: ProbeResult, words: str) -> None:
    check(result, Outcome.WEBSOCKET_REJECTED, Stage.WEBSOCKET, words)


# ---- websockify and what is behind it


async def test_a_stopped_vnc_server_is_told_by_the_code_of_the_gateway(gateway: Gateway) -> None:
    with vnc_server() as vnc:
        vnc.stop()
        with tokens_are(gateway, f"{TOKEN}: {vnc.url}\n"):
            result = await probe_console(page(gateway.url), gateway.trusting)

    rejected(result, r"\b1011\b")


async def test_an_unknown_token_ends_the_connection_without_an_answer(gateway: Gateway) -> None:
    address = page(gateway.url, QUERY.replace(TOKEN, "unknown-to-all"))

    rejected(await probe_console(address, gateway.trusting), "/websockify .*without a response")


async def test_an_unknown_token_is_a_502_behind_nginx(gateway: Gateway, tmp_path: Path) -> None:
    with nginx(tmp_path, gateway.pem, passing(f"{BELOW}/", f"{gateway.url}/")) as front:
        address = page(front.url + BELOW, QUERY.replace(TOKEN, "unknown-to-all"))
        result = await probe_console(address, gateway.trusting)

    rejected(result, rf"{BELOW}/websockify answered 502; /websockify answered 404")


async def test_a_lost_token_file_rejects_every_websocket(gateway: Gateway) -> None:
    kept = gateway.tokens.rename(gateway.tokens.with_suffix(".kept"))
    try:
        result = await probe_console(page(gateway.url), gateway.trusting)
    finally:
        kept.rename(gateway.tokens)

    rejected(result, "/websockify .*without a response")


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
    dropping = passing(f"{BELOW}/", f"{gateway.url}/", directives="")

    rejected(await behind(tmp_path, gateway, dropping), f"{BELOW}/websockify answered 40[45]")


async def test_a_502_for_the_page_is_a_page_error(gateway: Gateway, tmp_path: Path) -> None:
    with silent_ports.closed_port() as nobody:
        result = await behind(tmp_path, gateway, passing("/", nobody))

    check(result, Outcome.PAGE_ERROR, Stage.PAGE, "answered 502")


async def test_a_502_for_the_websocket_alone_rejects_it(gateway: Gateway, tmp_path: Path) -> None:
    with silent_ports.closed_port() as nobody:
        result = await behind(
            tmp_path,
            gateway,
            passing(f"{BELOW}/", f"{gateway.url}/"),
            passing(f"{BELOW}/websockify", nobody),
        )

    rejected(result, "answered 502")


@pytest.mark.parametrize(
    ("kind", "words"),
    [("write_wrong_name", "127.0.0.1"), ("write_expired", "certificate has expired")],
)
async def test_a_certificate_that_deserves_no_trust_is_a_tls_error(
    gateway: Gateway, tmp_path: Path, kind: str, words: str
) -> None:
    pem = getattr(gateway.certificates, kind)(tmp_path)
    whole = passing(f"{BELOW}/", f"{gateway.url}/")

    result = await behind(tmp_path, gateway, whole, pem=pem)

    check(result, Outcome.TLS_ERROR, Stage.PAGE, words)


async def test_a_missing_page_is_a_page_error(gateway: Gateway, tmp_path: Path) -> None:
    result = await behind(tmp_path, gateway, passing("/", f"{gateway.url}/no-such-folder/"))

    check(result, Outcome.PAGE_ERROR, Stage.PAGE, "answered 404")


async def test_a_page_that_is_no_html_is_a_page_error(gateway: Gateway, tmp_path: Path) -> None:
    result = await behind(tmp_path, gateway, returning("/", 200, "application/octet-stream"))

    check(result, Outcome.PAGE_ERROR, Stage.PAGE, "content type is not HTML")


# ---- What freezes, and what is no VNC server


@pytest.mark.parametrize(
    ("frozen", "seconds", "stage", "words"),
    [
        pytest.param("proxy", DEEP, Stage.PAGE, "no complete answer within", id="websockify"),
        # Time enough to come that far on a busy machine.
        pytest.param("vnc", 4.0, Stage.RFB, "0 of 12 bytes", id="the VNC server"),
    ],
)
@unless_the_machine_stood_still
async def test_what_freezes_is_a_timeout_at_its_stage(
    gateway: Gateway, frozen: str, seconds: float, stage: Stage, words: str
) -> None:
    process = getattr(gateway, frozen).process
    process.send_signal(signal.SIGSTOP)
    try:
        result = await probe_console(page(gateway.url), gateway.trusting, timeout=seconds)
    finally:
        process.send_signal(signal.SIGCONT)

    check(result, Outcome.TIMEOUT, stage, words)


@unless_the_machine_stood_still
async def test_a_page_that_trickles_in_is_a_timeout(gateway: Gateway, tmp_path: Path) -> None:
    slow = passing(f"{BELOW}/", f"{gateway.url}/", directives="limit_rate 1; gzip off;")
    with nginx(tmp_path, gateway.pem, slow) as front:
        result = await probe_console(page(front.url + BELOW), gateway.trusting, timeout=DEEP)

    check(result, Outcome.TIMEOUT, Stage.PAGE, "no complete answer within")


async def test_a_gateway_that_is_killed_leaves_a_websocket_that_nobody_closed(
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

    rejected(result, r"\b1006\b")


def handlers(pid: int) -> list[int]:
    """Return the processes that a websockify runs for its connections."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert children
    return [int(child) for child in children]


async def probe_through_websockify(
    gateway: Gateway, behaviour: Behaviour, *, seconds: float = IN_TIME
) -> ProbeResult:
    """Probe a console whose VNC server behaves so."""
    async with BrokenServer(behaviour) as server:
        with tokens_are(gateway, f"{TOKEN}: {server.host}:{server.port}\n"):
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
    ("behaviour", "outcome", "stage", "words"),
    [
        pytest.param(
            says_and_ends(), Outcome.WEBSOCKET_REJECTED, Stage.WEBSOCKET, r"\b1000\b", id="closes"
        ),
        pytest.param(
            resets_at_once, Outcome.WEBSOCKET_REJECTED, Stage.WEBSOCKET, r"\b1006\b", id="resets"
        ),
        pytest.param(
            says_and_ends(VERSION[:5]), Outcome.RFB_ERROR, Stage.RFB, "5 of 12", id="closes early"
        ),
        pytest.param(
            says(b"SSH-2.0-OpenSSH_9.2\r\n"), Outcome.RFB_ERROR, Stage.RFB, "not a known RFB", id="SSH"
        ),
    ],
)
async def test_what_is_no_vnc_server_is_told_from_one(
    gateway: Gateway, behaviour: Behaviour, outcome: Outcome, stage: Stage, words: str
) -> None:
    check(await probe_through_websockify(gateway, behaviour), outcome, stage, words)


@unless_the_machine_stood_still
async def test_a_version_that_trickles_in_is_a_timeout_that_says_how_far_it_came(
    gateway: Gateway,
) -> None:
    trickling = says(*(bytes([byte]) for byte in VERSION), every=1.0)

    result = await probe_through_websockify(gateway, trickling, seconds=4.0)

    check(result, Outcome.TIMEOUT, Stage.RFB, "[1-4] of 12 bytes")


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(floods, Outcome.RFB_ERROR, id="no version"),
        pytest.param(floods_after_a_version, Outcome.SUCCESS, id="a version first"),
    ],
)
async def test_a_flood_of_ten_mebibytes_is_not_drunk(
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
    # Whoever floods is not listened to until it says goodbye.
    assert time.monotonic() - started < 9
