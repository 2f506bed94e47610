"""Reading the cloud's errors, in every shape that is documented or seen."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cloud.api_error import ApiError
from exporter.http.response import Response
from tests.hostile.loop_hold import watching_the_loop


def answer(body: object, headers: dict[str, str] | None = None, status: int = 400) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, httpx.Headers(headers), raw, 0.1)


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
def test_each_shape_of_an_error_is_read(body: object, code: str, message: str) -> None:
    error = ApiError.of(answer(body))
    assert (error.code, error.message) == (code, message)


def test_the_request_id_comes_from_the_header_else_from_the_body() -> None:
    body = {"error_code": "APIGW.0308", "error_msg": "m", "request_id": "from-body"}
    assert ApiError.of(answer(body)).request_id == "from-body"
    assert ApiError.of(answer(body, {"X-Request-Id": "from-header"})).request_id == "from-header"


def test_a_request_id_that_is_none_is_not_believed() -> None:
    assert ApiError.of(answer({}, {"X-Request-Id": "a b"})).request_id == ""
    assert ApiError.of(answer({"request_id": "x" * 1000})).request_id == ""


def test_a_message_is_cut() -> None:
    assert len(ApiError.of(answer({"error_msg": "x" * 10_000})).message) == 500


@pytest.mark.parametrize(
    "piece", [b"[],", b'{"":[]},', b"{},", b"0,", b'"",'], ids=lambda piece: piece.decode()
)
async def test_a_body_that_would_hold_the_loop_is_not_read(piece: bytes) -> None:
    body = b"[" + piece * ((1 << 20) // len(piece)) + b"0]"
    async with watching_the_loop() as held:
        assert answer(body).json() is None
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
def test_no_body_is_too_odd_to_read(body: object) -> None:
    error = ApiError.of(answer(body))
    assert len(error.code) <= 50
    assert len(error.message) <= 500
