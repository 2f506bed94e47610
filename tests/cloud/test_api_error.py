"""Parsing the cloud's error responses, in every format that is documented or was observed."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cloud.api_error import ApiError
from exporter.http.json_body import json_body
from tests.hostile.loop_blocking import watching_the_loop
from tests.http.responses import received


def response_with(
    body: object, headers: dict[str, str] | None = None, status: int = 400
) -> httpx.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return received(status, httpx.Headers(headers), raw, 0.1)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error_code": "iMetal.0100", "error_msg": "not found"}, "iMetal.0100", "not found"),
        ({"errorCode": "APIGW.0301", "errorMsg": "auth"}, "APIGW.0301", "auth"),
        ({"code": "APIG.0308", "message": "slow"}, "APIG.0308", "slow"),
        ({"error": {"error_code": "iMetal.0005", "error_msg": "m"}}, "iMetal.0005", "m"),
        ({"error": {"code": 401, "message": "m", "title": "Unauthorized"}}, "401", "m"),
        ({"error": {"code": True, "message": "m"}}, "", "m"),
        ({"error_code": "<script>", "error_msg": "m"}, "", "m"),
        ({"error_code": "A" * 100 + ".1", "error_msg": ""}, "", ""),
        ([1], "", ""),
        ("text", "", ""),
        (b"<html>bad gateway</html>", "", ""),
        (b"", "", ""),
        (b"\xff\xfe", "", ""),
        (b"[" * 100_000, "", ""),
    ],
)
def test_each_error_format_is_parsed(body: object, code: str, message: str) -> None:
    error = ApiError.of(response_with(body))
    assert (error.code, error.message) == (code, message)


def test_the_request_id_comes_from_the_header_else_from_the_body() -> None:
    body = {"error_code": "APIGW.0308", "error_msg": "m", "request_id": "from-body"}
    assert ApiError.of(response_with(body)).request_id == "from-body"
    assert (
        ApiError.of(response_with(body, {"X-Request-Id": "from-header"})).request_id
        == "from-header"
    )


def test_an_invalid_request_id_is_ignored() -> None:
    assert ApiError.of(response_with({}, {"X-Request-Id": "a b"})).request_id == ""
    assert ApiError.of(response_with({"request_id": "x" * 1000})).request_id == ""


def test_a_long_message_is_truncated() -> None:
    assert len(ApiError.of(response_with({"error_msg": "x" * 10_000})).message) == 500


@pytest.mark.parametrize(
    "piece", [b"[],", b'{"":[]},', b"{},", b"0,", b'"",'], ids=lambda piece: piece.decode()
)
async def test_a_body_that_would_block_the_event_loop_is_not_parsed(piece: bytes) -> None:
    response = response_with(b"[" + piece * ((1 << 20) // len(piece)) + b"0]")
    async with watching_the_loop() as held:
        assert json_body(response) is None
    assert held.longest < 0.05


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "error_code", "code", "error_msg"]), inner)
        ),
    )
)
def test_any_json_body_is_parsed(body: object) -> None:
    error = ApiError.of(response_with(body))
    assert len(error.code) <= 50
    assert len(error.message) <= 500
