"""Decoding of bodies: codings, members, bounds, and what is left of a damaged body."""

import asyncio
import gzip
import os
import zlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.http.body import BodyError, BoundedBody, Decoded
from tests.hostile.hypothesis_settings import examples
from tests.hostile.loop_blocking import watching_the_loop

MIB = 1 << 20
JSON = b'{"error_code": "iMetal.0101", "error_msg": "the server is not ready"}'
PACKED = gzip.compress(JSON)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


async def decode(encoding: str, *pieces: bytes, max_bytes: int = MIB) -> Decoded:
    body = BoundedBody(encoding, max_bytes)
    try:
        for piece in pieces:
            body.add(piece)
    except BodyError as error:
        return Decoded(b"", str(error))
    return await body.decoded()


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        *(("", JSON), ("identity", JSON), ("UTF-8", JSON), ("utf-8, none", JSON), ("rot13", JSON)),
        *(("gzip", PACKED), ("X-GZIP", PACKED), (" gzip ,", PACKED)),
        *(("gzip, identity", PACKED), ("identity, gzip", PACKED), ("gzip, UTF-8", PACKED)),
        ("gzip, gzip", gzip.compress(PACKED)),
        ("deflate", zlib.compress(JSON)),
        ("deflate", zlib.compress(JSON, wbits=9)),
        ("deflate", raw_deflate(JSON)),
        # The last coding that was applied is named last, and is undone first.
        ("gzip, deflate", zlib.compress(PACKED)),
        ("deflate, gzip", gzip.compress(raw_deflate(JSON))),
        ("gzip, deflate, x-gzip", gzip.compress(zlib.compress(PACKED))),
        # Labels that are swapped.
        *(("gzip", zlib.compress(JSON)), ("deflate", PACKED)),
        ("gzip", gzip.compress(JSON[:9]) + gzip.compress(JSON[9:])),
        ("gzip", b"".join(gzip.compress(bytes([byte])) for byte in JSON)),
        ("gzip", gzip.compress(b"") + PACKED + gzip.compress(b"")),
        ("gzip", gzip.compress(JSON[:9]) + bytes(99) + gzip.compress(JSON[9:]) + bytes(512)),
        ("gzip", PACKED + bytes(512)),
        ("gzip", PACKED + b"\r\nmore"),
        ("deflate", zlib.compress(JSON) + b"\0more"),
        ("deflate", raw_deflate(JSON) + b"\0"),
    ],
)
async def test_each_way_to_send_a_body_is_decoded(encoding: str, sent: bytes) -> None:
    assert await decode(encoding, sent) == Decoded(JSON)
    assert await decode(encoding, *(bytes([byte]) for byte in sent)) == Decoded(JSON)


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "gzip, gzip"])
async def test_a_body_of_no_bytes_is_empty_in_every_coding(encoding: str) -> None:
    assert await decode(encoding) == Decoded(b"")


@pytest.mark.parametrize(
    ("encoding", "sent", "problem"),
    [
        ("br", JSON, "not asked for"),
        ("gzip, zstd", PACKED, "not asked for"),
        (", ".join(["gzip"] * 4), gzip.compress(gzip.compress(gzip.compress(PACKED))), "asked for"),
        (", ".join(["gzip"] * 9000), PACKED, "not asked for"),
        ("gzip", JSON, "not the gzip it claims"),
        ("gzip, gzip", PACKED, "not the gzip it claims"),
        ("gzip", PACKED[:-1], "ends too early"),
        ("gzip", PACKED[:5], "ends too early"),
        ("gzip", PACKED + PACKED[:20], "ends too early"),
        ("gzip", PACKED + b"\x1f\x8b?" + bytes(20), "not the gzip it claims"),
        ("gzip", PACKED[:-8] + b"\xff" * 8, "not the gzip it claims"),
        ("deflate", zlib.compress(JSON)[:-5], "ends too early"),
        ("deflate", b"\xff" * 20, "not the deflate it claims"),
        ("gzip", gzip.compress(b"") * 10_001, "over 10000 members"),
    ],
)
async def test_a_body_that_cannot_be_decoded_says_why(
    encoding: str, sent: bytes, problem: str
) -> None:
    assert problem in (await decode(encoding, sent)).problem


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        pytest.param("gzip", PACKED[:-8] + b"\xff" * 8, id="wrong checksum"),
        pytest.param("gzip", PACKED[:-8], id="no checksum"),
        pytest.param("gzip", PACKED + b"\x1f\x8bnot a member", id="broken second member"),
        pytest.param("deflate", zlib.compress(JSON)[:-4] + b"\xff" * 4, id="wrong zlib checksum"),
        pytest.param("gzip, gzip", gzip.compress(PACKED)[:-8], id="outer coding cut"),
        pytest.param("gzip, gzip", gzip.compress(PACKED[:-8]), id="inner coding cut"),
        pytest.param("gzip", JSON, id="not compressed at all"),
        pytest.param("gzip, gzip", PACKED, id="compressed once"),
        pytest.param("br", JSON, id="coding that was not asked for"),
    ],
)
async def test_what_can_be_decoded_of_a_damaged_body_is_returned(
    encoding: str, sent: bytes
) -> None:
    body = await decode(encoding, sent)
    assert body.problem
    assert body.data == JSON


async def test_data_before_the_damage_is_returned() -> None:
    data = os.urandom(100_000)
    packed = bytearray(gzip.compress(data, 0))
    # The next block has no valid type.
    at = packed.index(data[60_000:60_010])
    packed[at:] = b"\xff" * (len(packed) - at)
    body = await decode("gzip", bytes(packed))
    assert body.problem
    assert body.data[:60_000] == data[:60_000]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("", bytes),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("gzip, gzip", lambda data: gzip.compress(gzip.compress(data))),
        (
            "gzip",
            lambda data: b"".join(gzip.compress(data[at:][:999]) for at in range(0, 9990, 999)),
        ),
    ],
)
@pytest.mark.parametrize("make", [os.urandom, bytes])
async def test_the_bound_is_on_the_decoded_size(
    encoding: str, pack: Callable[[bytes], bytes], make: Callable[[int], bytes]
) -> None:
    data = make(9990)
    assert await decode(encoding, pack(data), max_bytes=9990) == Decoded(data)
    too_large = await decode(encoding, pack(data), max_bytes=9989)
    assert "larger than 9989 bytes" in too_large.problem
    assert len(too_large.data) <= 9989


@pytest.mark.parametrize(
    "piece", [bytes(16_384), gzip.compress(b"") * 800, b"\0\0\0\xff\xff" * 3500, b"more" * 4096]
)
async def test_what_decodes_to_nothing_is_bounded_as_received(piece: bytes) -> None:
    body = BoundedBody("gzip", 10_000)
    for _ in range(4):
        body.add(piece)
    with pytest.raises(BodyError, match="larger than"):
        body.add(piece)


def bomb(layers: int) -> bytes:
    data = bytes(64 * MIB)
    for _ in range(layers):
        data = gzip.compress(data, 9)
    return data


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", bomb(1)),
        ("gzip, gzip", bomb(2)),
        ("gzip, gzip, gzip", bomb(3)),
        ("gzip", gzip.compress(b"") * 9_999),
        ("gzip", gzip.compress(b"\0") * 9_999),
        ("gzip", PACKED + bytes(8 * MIB)),
        ("deflate", b"\0\0\0\xff\xff" * (MIB // 5)),
        ("gzip", gzip.compress(os.urandom(8 * MIB), 0)[:-1] + b"?"),
    ],
    ids=["bomb", "bomb twice", "bomb thrice", "empty", "tiny", "padding", "blocks", "damaged"],
)
async def test_decoding_does_not_block_the_loop(encoding: str, sent: bytes) -> None:
    body = BoundedBody(encoding, 8 * MIB)
    for at in range(0, len(sent), 16_384):
        body.add(sent[at : at + 16_384])
    async with watching_the_loop() as held:
        found = await body.decoded()
    assert len(found.data) <= 8 * MIB
    assert held.longest < 0.05


# ---- Pieces


_PACKERS: tuple[Callable[[bytes], bytes], ...] = (
    bytes, gzip.compress, zlib.compress, raw_deflate,
    lambda data: gzip.compress(data[:7]) + bytes(3) + gzip.compress(data[7:]),
)  # fmt: skip
_labels = st.sampled_from(["", "UTF-8", "identity", "gzip", "x-gzip", "deflate", "br"])


@st.composite
def sent_bodies(draw: st.DrawFn) -> bytes:
    data = draw(st.binary(max_size=200) | st.just(JSON) | st.just(bytes(3000)))
    for pack in draw(st.lists(st.sampled_from(_PACKERS), max_size=3)):
        data = pack(data)
    cut = draw(st.none() | st.integers(0, len(data)))
    damage = draw(st.sampled_from([b"", b"", b"\0" * 9, b"?", b"\x1f\x8b", PACKED]))
    return data[:cut] + damage


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@examples(300)
@given(st.lists(_labels, max_size=4), sent_bodies(), st.lists(st.integers(0, 400), max_size=9))
@example(["deflate"], zlib.compress(JSON), [1])
@example(["gzip"], PACKED + PACKED, [len(PACKED) + 1])
def test_any_split_into_pieces_gives_the_same_body(
    labels: list[str], data: bytes, cuts: list[int]
) -> None:
    async def both() -> tuple[Decoded, Decoded]:
        encoding = ", ".join(labels)
        return (
            await decode(encoding, data, max_bytes=1000),
            await decode(encoding, *split(data, cuts), max_bytes=1000),
        )

    whole, pieces = asyncio.run(both())
    assert whole == pieces
    assert len(whole.data) <= 1000 + 64 * 1024


@examples(200)
@given(
    st.binary(max_size=2000),
    st.lists(
        st.sampled_from([("gzip", 1), ("gzip", 4), ("deflate", 2), ("deflate", 3)]), max_size=3
    ),
    st.lists(st.integers(0, 2500), max_size=5),
)
def test_any_chain_of_codings_is_undone(
    data: bytes, chain: list[tuple[str, int]], cuts: list[int]
) -> None:
    sent = data
    for _, packer in chain:
        sent = _PACKERS[packer](sent)
    encoding = ", ".join(label for label, _ in chain)
    assert asyncio.run(decode(encoding, *split(sent, cuts))) == Decoded(data)
