"""JSON streams give the same result as `json.loads`, without blocking the event loop."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.http.json_stream import read_json_stream
from tests.hostile.hypothesis_settings import examples
from tests.hostile.loop_blocking import watching_the_loop

MIB = 1 << 20


def _identity(item: object) -> object:
    return item


def _length(item: object) -> int:
    return len(item) if isinstance(item, dict) else 0


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@examples(100)
@given(st.dictionaries(st.text(), values, max_size=5), st.sampled_from([None, 0, 2]))
async def test_valid_json_gives_the_same_result_as_json_loads(
    document: dict[str, object], indent: int | None
) -> None:
    text = json.dumps(document, indent=indent)
    assert await read_json_stream(text.encode(), 1000, _identity) == document
    assert await read_json_stream(b" \n" + text.encode() + b"\t", 1000, _identity) == document


@examples(100)
@given(st.text(st.sampled_from('{}[]",:0 a\\\n'), max_size=30) | st.text(max_size=20))
async def test_invalid_json_is_rejected_as_by_json_loads(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    raw = text.encode(errors="surrogatepass")
    parsed = await read_json_stream(raw, 1000, _identity)
    assert parsed == (expected if isinstance(expected, dict) else None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b'{"servers": [',
        b'{"servers": [1,]}',
        b'{"servers": [1 2]}',
        b'{"servers": []} []',
        b'{"servers": "' + b"x" * (70 << 10) + b'"}',
        b'{"servers": [' + b"1" * (70 << 10) + b"]}",
        b'{"servers": [' + b"0," * 1000 + b"0]}",
        b"{" + b",".join(b'"%d": 0' % number for number in range(101)) + b"}",
        b"[" * MIB,
        b'{"a":' * MIB,
    ],
)
async def test_incomplete_and_too_large_documents_are_rejected(body: bytes) -> None:
    assert await read_json_stream(body, 1000, _length) is None


RECORD = {"id": "7c9ad6b8", "tags": [{"key": "rack", "value": "r12"}] * 40, "more": [[1, {}]] * 200}
SLOW = {
    "a thousand records": json.dumps({"servers": [RECORD] * 1000}).encode(),
    "small lists": b'{"servers":[' + b"[]," * (2 * MIB) + b"0]}",
    "small objects": b'{"servers":[' + b'{"":[]},' * MIB + b"0]}",
    "one large record": b'{"servers":[[' + b'{"":[]},' * MIB + b"0]]}",
    "numbers": b'{"servers":[' + (b"9" * 4300 + b",") * 1900 + b"0]}",
    "spaces": b'{"servers":' + b" " * (8 * MIB) + b"[]}",
    "a string": b'{"servers":["' + b"\\u0041" * MIB + b'"]}',
    "names": b"{" + b",".join(b'"%06x":0' % number for number in range(700_000)) + b"}",
}


@pytest.mark.parametrize("body", SLOW.values(), ids=SLOW)
async def test_no_list_blocks_the_event_loop(body: bytes) -> None:
    async with watching_the_loop() as held:
        await read_json_stream(body, 1000, _length)
    assert held.longest < 0.05
