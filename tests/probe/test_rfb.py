"""Stage rfb: which first bytes are a version, and what else can happen."""

import pytest

from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.probing import DEEP_TIMEOUT, probe_once
from tests.real.raw_console import (
    CONTINUATION,
    PING,
    TEXT,
    TOKEN,
    VERSION,
    WebSocketBehaviour,
    close,
    console,
    frame,
    sends,
    sends_and_closes,
    sends_and_resets,
)


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
        pytest.param([frame(VERSION) + close(1000)], id="closed right after"),
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
        pytest.param(
            [frame(b"RFB 003.003\n" + bytes(7) + b"\x1aToo many security failures")],
            "no more viewers",
            id="too many security failures",
        ),
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
