"""What a 429 says, in all the ways that it says it."""

import time
from email.utils import formatdate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.http.response import Response
from exporter.ratelimit.retry_after import (
    RETRY_AFTER_MAX,
    RETRY_AFTER_MIN,
    Policy,
    RateLimitResponse,
)

NOW = 1_800_000_000.0


def refusal(*, body: bytes = b"", **headers: str) -> RateLimitResponse:
    sent = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return RateLimitResponse.of(Response(429, sent, body, 0.1), NOW)


def test_an_empty_answer_says_nothing() -> None:
    assert refusal() == RateLimitResponse(None, None)


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), (" 30 ", 30.0), ("1.5", 1.5)])
def test_retry_after_in_seconds_is_taken_as_it_is(text: str, seconds: float) -> None:
    assert refusal(retry_after=text).retry_after == seconds


def test_retry_after_as_a_date_counts_from_our_clock_when_the_answer_has_no_date() -> None:
    assert refusal(retry_after=formatdate(NOW + 42, usegmt=True)).retry_after == 42


def test_retry_after_as_a_date_counts_from_the_answers_own_date() -> None:
    theirs = NOW + 5000
    said = refusal(
        retry_after=formatdate(theirs + 42, usegmt=True), date=formatdate(theirs, usegmt=True)
    )
    assert said.retry_after == 42


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_a_date_without_a_zone_is_utc_wherever_we_are(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for date in ("Fri, 15 Jan 2027 08:00:20 -0000", "Fri Jan 15 08:00:20 2027"):
            assert refusal(retry_after=date).retry_after == 20
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["0", "0.0", formatdate(NOW - 9999, usegmt=True)])
def test_a_retry_after_of_now_or_the_past_waits_the_least(text: str) -> None:
    assert refusal(retry_after=text).retry_after == RETRY_AFTER_MIN


@pytest.mark.parametrize("text", ["3600", "9" * 400, formatdate(NOW + 9e6, usegmt=True)])
def test_a_retry_after_of_very_long_is_cut(text: str) -> None:
    assert refusal(retry_after=text).retry_after == RETRY_AFTER_MAX


@pytest.mark.parametrize(
    "text",
    ["", "-5", "nan", "inf", "1e9", "soon", "3, 3", "٣", "0x10", "Fri, 99 Jan 2027 08:00:20 GMT"],
)
def test_a_retry_after_that_is_neither_seconds_nor_a_date_says_nothing(text: str) -> None:
    raw = httpx.Headers([(b"retry-after", text.encode())])
    assert RateLimitResponse.of(Response(429, raw, b"", 0.1), NOW).retry_after is None


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("limit:200,time:5 minute", Policy(200, 300)),
        ("limit:10,time:1 second", Policy(10, 1)),
        ("limit:1000,time:2 hour", Policy(1000, 7200)),
        ("limit: 5 , time: 1 Day", Policy(5, 86400)),
    ],
)
def test_the_policy_is_read_from_the_gateways_message(text: str, policy: Policy) -> None:
    message = f"The throttling threshold has been reached: policy user over ratelimit,{text}"
    body = f'{{"error_msg":"{message}","error_code":"APIGW.0308","request_id":"r"}}'
    assert refusal(body=body.encode()).policy == policy
    assert refusal(body=message.encode()).policy == policy


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
def test_a_policy_that_cannot_be_or_is_not_understood_says_nothing(text: str) -> None:
    assert refusal(body=text.encode()).policy is None


def test_a_policys_rate_is_in_requests_a_second() -> None:
    assert Policy(200, 300).rate == pytest.approx(2 / 3)


@given(header=st.binary(max_size=60), date=st.binary(max_size=60), body=st.binary(max_size=200))
def test_whatever_is_sent_the_reading_is_bounded(header: bytes, date: bytes, body: bytes) -> None:
    headers = httpx.Headers([(b"retry-after", header), (b"date", date)])
    said = RateLimitResponse.of(Response(429, headers, body, 0.1), NOW)
    assert said.retry_after is None or RETRY_AFTER_MIN <= said.retry_after <= RETRY_AFTER_MAX
    assert said.policy is None or said.policy.rate > 0


@given(
    st.tuples(
        st.integers(-9, 99),
        st.integers(-9, 99999),
        st.integers(-99, 99),
        st.integers(-(10**9), 10**9),
    )
)
def test_no_date_however_odd_breaks_the_reading(parts: tuple[int, int, int, int]) -> None:
    day, year, hour, zone = parts
    said = refusal(retry_after=f"Mon, {day} Jan {year} {hour}:00:00 {zone:+05d}")
    assert said.retry_after is None or RETRY_AFTER_MIN <= said.retry_after <= RETRY_AFTER_MAX
