"""Stage rfb: which first bytes are a version, and what else can happen."""

from collections.abc import Callable

import pytest

from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.probing import DEEP_TIMEOUT, probe_once
from tests.real.raw_console import (
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    TOKEN,
    VERSION,
    VERSION_3_3,
    WebSocketBehaviour,
    close,
    console,
    frame,
    reason,
    sends,
    sends_and_closes,
    sends_and_resets,
)


def sends_after_version(
    *pieces: bytes, every: float = 0.0
) -> Callable[[bytes], WebSocketBehaviour]:
    return lambda version: sends(version, *pieces, every=every)


async def probe_rfb(behaviour: WebSocketBehaviour, *, timeout: float = 10.0) -> ProbeResult:  # noqa: ASYNC109
    async with console(behaviour=behaviour) as gateway:
        return await probe_once(
            gateway.api, depth=Stage.RFB, console=gateway.settings, timeout=timeout
        )


@pytest.mark.parametrize(
    "version", ["003.003", "003.007", "003.008", "003.889", "004.000", "004.001", "005.000"]
)
async def test_every_version_that_viewers_support_is_accepted(version: str) -> None:
    result = await probe_rfb(sends(frame(f"RFB {version}\n".encode())))

    assert result.outcome is Outcome.SUCCESS
    assert result.stages[-1].note == f"RFB {version}"


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([frame(VERSION, TEXT)], id="text"),
        pytest.param([frame(VERSION[i : i + 1]) for i in range(12)], id="a byte a message"),
        pytest.param(
            [frame(VERSION[:4], final=False), frame(VERSION[4:], CONTINUATION)], id="fragments"
        ),
        pytest.param(
            [
                frame(VERSION[:4], TEXT, final=False),
                frame(b"", PING),
                frame(b"", CONTINUATION, final=False),
                frame(VERSION[4:], CONTINUATION),
            ],
            id="text fragments with a ping between",
        ),
        pytest.param([frame(b""), frame(b"", TEXT), frame(VERSION)], id="empty messages first"),
        pytest.param([frame(VERSION[:5], TEXT), frame(VERSION[5:])], id="text, then binary"),
        pytest.param([frame(VERSION, final=False)], id="a message that never ends"),
        pytest.param([frame(VERSION + b"more that is not read")], id="more than the version"),
        pytest.param([frame(VERSION.ljust(1 << 16, b"x"))], id="a message of 64 KiB"),
        pytest.param([bytes([b]) for b in frame(VERSION)], id="a byte a segment"),
    ],
)
async def test_the_version_is_read_with_any_framing(frames: list[bytes]) -> None:
    result = await probe_rfb(sends(*frames, every=0.002))

    assert (result.outcome, result.detail) == (Outcome.SUCCESS, "")


@pytest.mark.parametrize(
    ("frames", "detail"),
    [
        pytest.param([frame(b"SSH-2.0-OpenSSH_9.2\r\n")], "not a known RFB version", id="SSH"),
        pytest.param([frame(b"SSH")], "not a known RFB version", id="rejected after three bytes"),
        pytest.param([frame(b"RFB 009.001\n")], "not a known RFB version", id="version 9"),
        pytest.param([frame(b"RFB 003.008\r")], "not a known RFB version", id="another last byte"),
        pytest.param([frame(b"\x00" * 12)], "not a known RFB version", id="zeros"),
        pytest.param([frame(b"\xff\xfe", TEXT)], "not a known RFB version", id="invalid UTF-8"),
        pytest.param([frame(b"x" * 70_000)], "1009", id="a message over 64 KiB"),
        pytest.param([b"\xc2\x01x"], "1002", id="reserved bits"),
        pytest.param([frame(b"", PING)] * 100, "100 messages", id="a flood of pings"),
        pytest.param([frame(VERSION[:7]), close(1011)], "7 of 12", id="closed half-way"),
    ],
)
async def test_first_bytes_other_than_a_version_are_an_rfb_error(
    frames: list[bytes], detail: str
) -> None:
    result = await probe_rfb(sends(*frames))

    assert (result.outcome, result.failed_stage) == (Outcome.RFB_ERROR, Stage.RFB), result.detail
    assert detail in result.detail


@pytest.mark.parametrize("version", [VERSION, VERSION_3_3])
@pytest.mark.parametrize(
    ("after", "detail"),
    [
        pytest.param(sends_after_version(close(1011)), "1011 (internal error", id="1011"),
        pytest.param(sends_after_version(close(1000)), "1000 (normal closure)", id="1000"),
        pytest.param(
            sends_after_version(frame(b"", PING), close(1012), every=0.02), "1012", id="later"
        ),
        pytest.param(sends_and_closes, "1006", id="end of stream"),
        pytest.param(sends_and_resets, "1006", id="reset"),
    ],
)
async def test_an_end_right_after_the_version_is_an_rfb_error(
    version: bytes, after: Callable[[bytes], WebSocketBehaviour], detail: str
) -> None:
    result = await probe_rfb(after(frame(version)))

    assert (result.outcome, result.failed_stage) == (Outcome.RFB_ERROR, Stage.RFB), result.detail
    assert detail in result.detail
    assert "right after the RFB version" in result.detail


async def test_silence_after_the_version_is_a_success_and_counts_for_the_stage() -> None:
    result = await probe_rfb(sends(frame(VERSION)))

    assert result.outcome is Outcome.SUCCESS
    assert 0.1 < result.stages[-1].seconds < 0.5


@retry_if_machine_stalled
async def test_the_version_is_a_success_even_if_the_deadline_follows_at_once() -> None:
    result = await probe_rfb(sends(b"", frame(VERSION), every=0.9), timeout=DEEP_TIMEOUT)

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert result.duration_seconds < DEEP_TIMEOUT + 0.2


REFUSAL = VERSION_3_3 + bytes(4) + reason(b"Not today")


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([frame(REFUSAL)], id="one message"),
        pytest.param([frame(REFUSAL), close(1000)], id="closed"),
        pytest.param([frame(VERSION_3_3), frame(REFUSAL[12:])], id="a second message"),
        pytest.param([frame(REFUSAL[:14]), frame(REFUSAL[14:])], id="cut in the security type"),
        pytest.param([frame(REFUSAL[:19]), frame(REFUSAL[19:])], id="cut in the length"),
        pytest.param([frame(REFUSAL[:25]), frame(REFUSAL[25:])], id="cut in the reason"),
        pytest.param([frame(bytes([one])) for one in REFUSAL], id="a byte a message"),
    ],
)
async def test_an_unasked_refusal_of_version_3_3_is_an_rfb_error(frames: list[bytes]) -> None:
    result = await probe_rfb(sends(*frames, every=0.005))

    assert (result.outcome, result.failed_stage) == (Outcome.RFB_ERROR, Stage.RFB)
    assert result.detail == "the console refuses the connection: Not today"


@pytest.mark.parametrize("kind", [1, 2])
async def test_an_unasked_security_type_of_version_3_3_is_a_success(kind: int) -> None:
    result = await probe_rfb(sends(frame(VERSION_3_3), frame(kind.to_bytes(4))))

    assert result.outcome is Outcome.SUCCESS, result.detail


@retry_if_machine_stalled
async def test_half_a_security_type_of_version_3_3_is_a_timeout() -> None:
    result = await probe_rfb(sends(frame(VERSION_3_3 + b"\0\0")), timeout=DEEP_TIMEOUT)

    assert (result.outcome, result.failed_stage) == (Outcome.TIMEOUT, Stage.RFB), result.detail
    assert "2 of 4 bytes of the security type" in result.detail


async def test_the_stage_sends_nothing_but_a_close_frame() -> None:
    async with console(behaviour=sends(frame(VERSION))) as gateway:
        await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert gateway.server.received[:1] == bytes([0x80 | CLOSE])


@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        pytest.param(sends(close(1011)), "1011 (internal error", id="1011"),
        pytest.param(sends(close(1000)), "1000 (normal closure)", id="1000"),
        pytest.param(sends(close(4001, TOKEN.encode())), "4001 (defined by the gateway", id="4001"),
        pytest.param(sends(close(3000)), "closed with 3000", id="3000"),
        pytest.param(sends(close(None)), "closed with no code", id="no code"),
        pytest.param(sends_and_closes(), "1006", id="end of stream"),
        pytest.param(sends_and_resets(), "1006", id="reset"),
    ],
)
async def test_a_websocket_closed_before_the_first_byte_is_rejected(
    behaviour: WebSocketBehaviour, detail: str
) -> None:
    result = await probe_rfb(behaviour)

    assert (result.outcome, result.failed_stage) == (Outcome.WEBSOCKET_REJECTED, Stage.WEBSOCKET)
    assert detail in result.detail
    # The time until the close counts as part of the failed stage.
    assert [timing.stage for timing in result.stages] == [Stage.API, Stage.PAGE, Stage.WEBSOCKET]


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(sends(), id="silence"),
        pytest.param(sends(*[bytes([b]) for b in frame(VERSION)], every=0.1), id="trickle"),
        pytest.param(sends(*[frame(b"")] * 50, every=0.02), id="empty messages"),
    ],
)
@retry_if_machine_stalled
async def test_bytes_that_do_not_arrive_in_time_are_a_timeout(
    behaviour: WebSocketBehaviour,
) -> None:
    result = await probe_rfb(behaviour, timeout=DEEP_TIMEOUT)

    assert (result.outcome, result.failed_stage) == (Outcome.TIMEOUT, Stage.RFB), result.detail
