"""RFB has no message borders: however a gateway cuts the bytes, a probe's result is the same."""

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

from exporter.http.deadline import Deadline
from exporter.http.errors import NoResponseError
from exporter.http.websocket import WebSocket
from exporter.probe.rfb import read_version
from exporter.probe.rfb_stream import RfbStream
from exporter.probe.security import read_security_types
from exporter.probe.stage import StageFailedError
from tests.hostile.hypothesis_settings import examples
from tests.real.raw_console import VERSION, VERSION_3_3, close, frame, reason

# Seconds. All data is there from the start, so only silence takes any time.
DEADLINE = 0.02
TOKEN = "CANARYSECRET"
BUSY = reason(b"Too many security failures")
ENDINGS = {"silence": None, "close frame": close(1011), "end of stream": b""}
# What a server sends by itself, and what it sends after the client's version.
STREAMS = {
    "types": (VERSION, b"\3\1\2\x13"),
    "types of 3.3": (VERSION_3_3, b"\0\0\0\2"),
    "an early type": (VERSION_3_3 + b"\0\0\0\1", b""),
    "refusal": (VERSION, b"\0" + reason(b"Not today")),
    "refusal of 3.3": (VERSION_3_3, bytes(4) + reason(b"Not today")),
    "early refusal": (VERSION_3_3 + bytes(4) + BUSY, b""),
    "half a refusal": (VERSION_3_3 + bytes(4) + BUSY[:20], b""),
    "half a type": (VERSION_3_3 + b"\0\0", b""),
    "half a version": (VERSION[:7], b""),
    "another protocol": (b"RFB 00SSH-2.0", b""),
    "nothing": (b"", b""),
}


class Wire:
    """A connection that has all pieces of data at once; ``None`` is silence, ``b""`` the end."""

    def __init__(self, before: list[bytes | None], after: list[bytes | None]) -> None:
        self._pieces = before
        self._after = after

    async def read(self) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else None
        if piece is None:
            await asyncio.Event().wait()
        return piece or b""

    async def write(self, _parts: list[bytes]) -> None:
        self._pieces, self._after = [*self._pieces, *self._after], []


async def result_of(before: list[bytes | None], after: list[bytes | None]) -> str:
    protocol = ClientProtocol(parse_uri("ws://h/"), state=State.OPEN, max_size=1 << 16)
    messages = WebSocket(Wire(before, after), protocol, [])  # type: ignore[arg-type]
    stream = RfbStream(messages, Deadline(DEADLINE))
    stage = "rfb"
    try:
        version = await read_version(stream, TOKEN)
        stage = "security"
        return await read_security_types(stream, version, TOKEN)
    except StageFailedError as failure:
        return f"{failure.outcome} at {failure.stage or stage}: {failure}"
    except NoResponseError as failure:
        return f"{failure.reason} at {stage}: {failure}"


def framed(data: bytes, borders: list[int]) -> list[bytes]:
    """Return frames that end at the borders."""
    ends = sorted({border for border in borders if 0 < border < len(data)} | {len(data)})
    starts = [0, *ends]
    return [frame(data[start:end]) for start, end in zip(starts, ends, strict=False) if end > start]


def cut(data: bytes, borders: list[int]) -> list[bytes | None]:
    """Return pieces of the data on the wire that end at the borders."""
    ends = sorted({border for border in borders if 0 < border < len(data)} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


def ends_with(ending: bytes | None) -> list[bytes | None]:
    return [None] if ending is None else [ending] if ending == b"" else [ending, b""]


async def whole_result(before: bytes, after: bytes, ending: bytes | None) -> str:
    """Return the result if every part is one frame. A stream ends after its last part."""
    last = ends_with(ending)
    return await result_of(
        [*framed(before, []), *([] if after else last)],
        [*framed(after, []), *last] if after else [],
    )


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
async def test_a_cut_at_any_border_gives_the_same_result(
    stream: tuple[bytes, bytes], ending: bytes | None
) -> None:
    before, after = stream
    expected = await whole_result(before, after, ending)
    last = ends_with(ending)
    for border in range(len(before) + len(after)):
        # A border in either part, of a frame or on the wire.
        at = [border], [border - len(before)]
        frames = framed(before, at[0]), framed(after, at[1])
        assert expected == await result_of(
            [*frames[0], *([] if after else last)], [*frames[1], *last] if after else []
        )
        wire = [cut(b"".join(framed(part, [])), one) for part, one in zip(stream, at, strict=True)]
        assert expected == await result_of(
            [*wire[0], *([] if after else last)], [*wire[1], *last] if after else []
        )


parts = st.one_of(
    st.sampled_from([part for stream in STREAMS.values() for part in stream]),
    st.binary(max_size=60),
    st.binary(max_size=400).map(lambda text: bytes(4) + reason(text)),
    st.binary(max_size=255).map(lambda kinds: bytes([len(kinds)]) + kinds),
)
borders = st.lists(st.integers(1, 450), max_size=40)


@examples(200)
@given(
    st.sampled_from([VERSION, VERSION_3_3, b"RFB 003.007\n", b""]),
    parts,
    parts,
    borders,
    borders,
    st.sampled_from(list(ENDINGS.values())),
)
@example(VERSION_3_3, bytes(4) + BUSY, b"", list(range(60)), list(range(300)), None)
@example(VERSION, b"", b"\0" + BUSY, list(range(60)), list(range(300)), b"")
@example(VERSION_3_3, bytes(4) + reason(TOKEN.encode() * 40), b"", [300], [], None)
async def test_any_cuts_give_the_same_result(  # noqa: PLR0913, PLR0917 - one for each part
    version: bytes,
    early: bytes,
    after: bytes,
    frame_borders: list[int],
    wire_borders: list[int],
    ending: bytes | None,
) -> None:
    before, last = version + early, ends_with(ending)
    expected = await whole_result(before, after, ending)

    wire = [cut(b"".join(framed(part, frame_borders)), wire_borders) for part in (before, after)]
    result = await result_of(
        [*wire[0], *([] if after else last)], [*wire[1], *last] if after else []
    )

    assert result == expected
    assert TOKEN not in result
