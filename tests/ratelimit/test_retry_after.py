"""Tests of parsing Retry-After and the quota from a 429."""

import time
from email.utils import formatdate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.ratelimit.retry_after import (
    RETRY_AFTER_MAX,
    RETRY_AFTER_MIN,
    Policy,
    RateLimitResponse,
)
from tests.http.responses import received

NOW = 1_800_000_000.0


def parse(*, body: bytes = b"", **headers: str) -> RateLimitResponse:
    fields = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return RateLimitResponse.of(received(429, fields, body, 0.1), NOW)


def test_an_empty_response_has_no_hint() -> None:
    assert parse() == RateLimitResponse(None, None)


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), (" 30 ", 30.0), ("1.5", 1.5)])
def test_retry_after_in_seconds_is_used_as_is(text: str, seconds: float) -> None:
    assert parse(retry_after=text).retry_after == seconds


def test_a_retry_after_date_is_relative_to_the_local_clock_without_a_date_header() -> None:
    assert parse(retry_after=formatdate(NOW + 42, usegmt=True)).retry_after == 42


def test_a_retry_after_date_is_relative_to_the_date_header() -> None:
    server_time = NOW + 5000
    parsed = parse(
        retry_after=formatdate(server_time + 42, usegmt=True),
        date=formatdate(server_time, usegmt=True),
    )
    assert parsed.retry_after == 42


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_a_date_without_a_zone_is_utc_in_any_local_time_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for date in ("Fri, 15 Jan 2027 08:00:20 -0000", "Fri Jan 15 08:00:20 2027"):
            assert parse(retry_after=date).retry_after == 20
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["0", "0.0", formatdate(NOW - 9999, usegmt=True)])
def test_a_retry_after_of_now_or_the_past_becomes_the_minimum(text: str) -> None:
    assert parse(retry_after=text).retry_after == RETRY_AFTER_MIN


@pytest.mark.parametrize("text", ["3600", "9" * 400, formatdate(NOW + 9e6, usegmt=True)])
def test_a_very_long_retry_after_becomes_the_maximum(text: str) -> None:
    assert parse(retry_after=text).retry_after == RETRY_AFTER_MAX


@pytest.mark.parametrize(
    "text",
    ["", "-5", "nan", "inf", "1e9", "soon", "3, 3", "٣", "0x10", "Fri, 99 Jan 2027 08:00:20 GMT"],
)
def test_a_retry_after_that_is_neither_seconds_nor_a_date_is_ignored(text: str) -> None:
    raw = httpx.Headers([(b"retry-after", text.encode())])
    assert RateLimitResponse.of(received(429, raw, b"", 0.1), NOW).retry_after is None


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("limit:200,time:5 minute", Policy(200, 300)),
        ("limit:10,time:1 second", Policy(10, 1)),
        ("limit:1000,time:2 hour", Policy(1000, 7200)),
        ("limit: 5 , time: 1 Day", Policy(5, 86400)),
    ],
)
def test_the_policy_is_parsed_from_the_gateways_message(text: str, policy: Policy) -> None:
    message = f"The throttling threshold has been reached: policy user over ratelimit,{text}"
    body = f'{{"error_msg":"{message}","error_code":"APIGW.0308","request_id":"r"}}'
    assert parse(body=body.encode()).policy == policy
    assert parse(body=message.encode()).policy == policy


@pytest.mark.parametrize(
    "text",
    [
        "limit:0,time:1 second",
        "limit:5,time:0 second",
        "limit:-5,time:1 second",
        "limit:5,time:1 fortnight",
        "limit:5",
        "x" * 5000 + "limit:5,time:1 second",
    ],
)
def test_an_invalid_or_unknown_policy_is_ignored(text: str) -> None:
    assert parse(body=text.encode()).policy is None


def test_a_policys_rate_is_in_requests_per_second() -> None:
    assert Policy(200, 300).rate == pytest.approx(2 / 3)


@given(header=st.binary(max_size=60), date=st.binary(max_size=60), body=st.binary(max_size=200))
def test_any_header_or_body_gives_a_limited_result(header: bytes, date: bytes, body: bytes) -> None:
    headers = httpx.Headers([(b"retry-after", header), (b"date", date)])
    parsed = RateLimitResponse.of(received(429, headers, body, 0.1), NOW)
    assert parsed.retry_after is None or RETRY_AFTER_MIN <= parsed.retry_after <= RETRY_AFTER_MAX
    assert parsed.policy is None or parsed.policy.rate > 0


@given(
    st.tuples(
        st.integers(-9, 99),
        st.integers(-9, 99999),
        st.integers(-99, 99),
        st.integers(-(10**9), 10**9),
    )
)
def test_any_odd_date_gives_a_limited_result(parts: tuple[int, int, int, int]) -> None:
    day, year, hour, zone = parts
    parsed = parse(retry_after=f"Mon, {day} Jan {year} {hour}:00:00 {zone:+05d}")
    assert parsed.retry_after is None or RETRY_AFTER_MIN <= parsed.retry_after <= RETRY_AFTER_MAX
