"""Stage security: which answers to a viewer's version are a success, a refusal, or busy."""

import struct

import pytest

from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome, Verdict
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.probing import DEEP_TIMEOUT, probe_once
from tests.real.raw_console import (
    BINARY,
    CLOSE,
    PING,
    TOKEN,
    VERSION,
    VERSION_3_3,
    WebSocketBehaviour,
    answers,
    client_frames,
    close,
    console,
    frame,
    reason,
    sends,
)

VERSION_3_7 = b"RFB 003.007\n"
NONE_3_3 = struct.pack("!I", 1)


async def probe_security(
    behaviour: WebSocketBehaviour,
    *,
    timeout: float = 10.0,  # noqa: ASYNC109 - the target's own setting
) -> ProbeResult:
    async with console(behaviour=behaviour) as gateway:
        return await probe_once(
            gateway.api, depth=Stage.SECURITY, console=gateway.settings, timeout=timeout
        )


@pytest.mark.parametrize(
    ("version", "sent"),
    [
        (b"RFB 003.003\n", VERSION_3_3),
        (b"RFB 003.005\n", VERSION_3_3),
        (b"RFB 003.006\n", VERSION_3_3),
        (b"RFB 003.007\n", VERSION_3_7),
        (b"RFB 003.008\n", VERSION),
        (b"RFB 003.889\n", VERSION),
        (b"RFB 004.000\n", VERSION),
        (b"RFB 005.000\n", VERSION),
    ],
)
async def test_the_highest_common_version_is_sent_and_nothing_else(
    version: bytes, sent: bytes
) -> None:
    types = NONE_3_3 if sent == VERSION_3_3 else b"\1\1"
    async with console(behaviour=answers(frame(types), version=version)) as gateway:
        result = await probe_once(gateway.api, depth=Stage.SECURITY, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS, result.detail
    (opcode, data), closing = client_frames(bytes(gateway.server.received))
    assert (opcode, data) == (BINARY, sent)
    assert closing[0] == CLOSE


@pytest.mark.parametrize(
    ("version", "types", "note"),
    [
        (VERSION, b"\1\1", "None"),
        (VERSION, b"\2\1\2", "None, VNC authentication"),
        (VERSION_3_7, b"\5\x13\x12\x10\2\1", "VeNCrypt, TLS, Tight, VNC authentication, None"),
        (VERSION, b"\3\x1e\x21\x24", "Apple Diffie-Hellman, type 33, type 36"),
        (VERSION, b"\4\0\2\2\xfe", "VNC authentication, type 254"),
        (
            VERSION,
            bytes([20, *range(200, 220)]),
            f"{', '.join(f'type {one}' for one in range(200, 208))} and 12 more",
        ),
        (VERSION_3_3, NONE_3_3, "None"),
        (VERSION_3_3, struct.pack("!I", 2) + bytes(16), "VNC authentication"),
        (VERSION_3_3, b"\xff\xff\xff\xfa", "MS-Logon"),
    ],
)
async def test_the_note_names_the_security_types(version: bytes, types: bytes, note: str) -> None:
    result = await probe_security(answers(frame(types), version=version))

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert [timing.stage for timing in result.stages] == list(Stage)
    assert result.stages[-1].note == note


async def test_a_security_type_that_arrives_before_the_version_of_the_client_counts() -> None:
    result = await probe_security(sends(frame(VERSION_3_3 + NONE_3_3)))

    assert (result.outcome, result.stages[-1].note) == (Outcome.SUCCESS, "None")


def refuses(text: bytes, version: bytes = VERSION) -> WebSocketBehaviour:
    kind = bytes(4) if version == VERSION_3_3 else b"\0"
    return answers(frame(kind + reason(text)), close(1000), version=version)


@pytest.mark.parametrize("version", [VERSION_3_3, VERSION_3_7, VERSION])
async def test_no_security_types_and_a_reason_are_an_rfb_error(version: bytes) -> None:
    result = await probe_security(refuses(b"No supported security types", version))

    assert (result.outcome, result.failed_stage) == (Outcome.RFB_ERROR, Stage.SECURITY)
    assert result.detail == "the console refuses the connection: No supported security types"


BUSY = [
    b"Too many security failures",
    b"Too many authentication failures",
    b"Too many authentication failures.  Client temporarily blocked",
    b"Your connection has been rejected to many attempts.",
    b"Connection limit reached",
    b"Max viewers reached",
    b"The server is already in use",
]


@pytest.mark.parametrize("text", BUSY, ids=bytes.decode)
@pytest.mark.parametrize("version", [VERSION_3_3, VERSION])
async def test_a_reason_that_tells_of_too_many_viewers_is_busy(text: bytes, version: bytes) -> None:
    result = await probe_security(refuses(text, version))

    assert (result.outcome, result.failed_stage) == (Outcome.BUSY, Stage.SECURITY), result.detail
    assert result.verdict is Verdict.INCONCLUSIVE
    assert " ".join(text.decode().split()) in result.detail


@pytest.mark.parametrize("text", BUSY, ids=bytes.decode)
@pytest.mark.parametrize("depth", [Stage.RFB, Stage.SECURITY])
async def test_an_unasked_refusal_is_busy_at_stage_rfb(text: bytes, depth: Stage) -> None:
    refusal = frame(VERSION_3_3 + bytes(4) + reason(text))
    async with console(behaviour=sends(refusal)) as gateway:
        result = await probe_once(gateway.api, depth=depth, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.BUSY, Stage.RFB), result.detail


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(b"", "without a reason", id="empty"),
        pytest.param(b" \n\0", "without a reason", id="blank"),
        pytest.param(b"no\n\x1b[31mway\0", ": no [31mway", id="control characters"),
        pytest.param("zu viele \u202eFehler".encode(), ": zu viele Fehler", id="direction"),
        pytest.param(b"\xff\xfe", ": \ufffd\ufffd", id="no UTF-8"),
        pytest.param(b"x" * 5000, ": " + "x" * 300, id="long"),
        pytest.param(f"see {TOKEN} and more".encode(), ": see", id="the token"),
        pytest.param(b"x" * 290 + TOKEN.encode(), ": " + "x" * 290, id="the token at the border"),
        pytest.param(b"password=planted", ": password=<redacted>", id="a password"),
        pytest.param(b"go to https://h/a?b=planted", ": go to https://h/a?<redacted>", id="a URL"),
    ],
)
async def test_a_reason_is_shown_as_one_bounded_line_without_secrets(
    text: bytes, shown: str
) -> None:
    result = await probe_security(refuses(text))

    assert result.outcome is Outcome.RFB_ERROR
    assert result.detail.removeprefix("the console refuses the connection").lstrip() == (
        shown.lstrip() if shown.startswith("without") else shown
    )


@pytest.mark.parametrize("size", [27, 2**32 - 1])
@pytest.mark.parametrize("end", [close(1000), b""], ids=["closed", "silent"])
@retry_if_machine_stalled
async def test_an_incomplete_reason_counts_as_far_as_it_arrives(size: int, end: bytes) -> None:
    cut = b"\0" + struct.pack("!I", size) + b"Too many security failures"
    result = await probe_security(answers(frame(cut), end), timeout=DEEP_TIMEOUT)

    assert (result.outcome, result.failed_stage) == (Outcome.BUSY, Stage.SECURITY), result.detail


@pytest.mark.parametrize(
    ("pieces", "detail"),
    [
        pytest.param([close(1011)], "closed with 1011", id="closed"),
        pytest.param([frame(b"\2\1"), close(None)], "1 of 2 bytes of the security types", id="cut"),
        pytest.param([frame(b"\2\0\0")], "no valid security type", id="invalid types"),
        pytest.param([frame(bytes(4)), close(1000)], "without a reason", id="QEMU's invalid type"),
        pytest.param([b"\xc2\x01x"], "1002", id="a violation"),
        pytest.param([frame(b"", PING)] * 100, "100 messages", id="a flood of pings"),
    ],
)
async def test_other_answers_are_an_rfb_error(pieces: list[bytes], detail: str) -> None:
    result = await probe_security(answers(*pieces))

    assert (result.outcome, result.failed_stage) == (Outcome.RFB_ERROR, Stage.SECURITY)
    assert detail in result.detail


async def test_an_unknown_number_as_security_type_of_version_3_3_is_an_rfb_error() -> None:
    result = await probe_security(answers(frame(b"HTTP/1.1"), version=VERSION_3_3))

    assert (result.outcome, result.failed_stage) == (Outcome.RFB_ERROR, Stage.SECURITY)


@pytest.mark.parametrize(
    ("pieces", "detail"),
    [
        pytest.param([], "0 of 1 bytes of the number of security types", id="silence"),
        pytest.param([frame(b"\3\1")], "1 of 3 bytes of the security types", id="half a list"),
    ],
)
@retry_if_machine_stalled
async def test_an_answer_that_does_not_arrive_in_time_is_a_timeout(
    pieces: list[bytes], detail: str
) -> None:
    result = await probe_security(answers(*pieces), timeout=DEEP_TIMEOUT)

    assert (result.outcome, result.failed_stage) == (Outcome.TIMEOUT, Stage.SECURITY)
    assert detail in result.detail


async def test_a_gateway_that_closes_while_the_version_is_sent_is_an_rfb_error() -> None:
    async with console(behaviour=sends(b"", frame(VERSION), close(1011), every=0.3)) as gateway:
        result = await probe_once(gateway.api, depth=Stage.SECURITY, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.RFB_ERROR, Stage.SECURITY)
    assert "1011" in result.detail
