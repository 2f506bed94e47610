"""Quotas let through what they grant, and say no in the cloud's words."""

import json
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.quota import Quota
from exporter.simulator.scenario import QuotaBody, QuotaKind, QuotaSpec, RetryAfter, Span


def test_a_bucket_lets_its_limit_through_at_once_and_then_refills_evenly() -> None:
    quota_meter = Quota(QuotaSpec(limit=2, window=10), now=0)
    assert [quota_meter.wait(0) for _ in range(3)] == [0, 0, 5]
    assert quota_meter.wait(4) == pytest.approx(1)
    assert quota_meter.wait(5) == 0
    assert quota_meter.wait(5) == pytest.approx(5)


def test_a_window_lets_its_limit_through_each_time_it_opens() -> None:
    quota_meter = Quota(QuotaSpec(limit=2, window=10, kind=QuotaKind.FIXED_WINDOW), now=0)
    assert [quota_meter.wait(now) for now in (3, 8, 9)] == [0, 0, 1]
    assert [quota_meter.wait(now) for now in (10, 10, 12)] == [0, 0, 8]


def test_a_quota_counts_only_while_it_holds() -> None:
    quota_meter = Quota(QuotaSpec(limit=1, window=10, active=Span(start=20, end=30)), now=0)
    assert [quota_meter.wait(now) > 0 for now in (1, 1, 20, 20, 29, 30, 30)] == [
        *(False, False),
        *(False, True, True),
        *(False, False),
    ]


@given(
    limit=st.integers(1, 20),
    window=st.integers(1, 60),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_a_bucket_never_lets_more_through_than_limit_and_rate(
    limit: int, window: int, gaps: list[float]
) -> None:
    quota_meter = Quota(QuotaSpec(limit, window), now=0)
    now, passed = 0.0, 0
    for gap in gaps:
        now += gap
        passed += quota_meter.wait(now) == 0
        assert passed <= limit + now * limit / window + 1e-6


@given(limit=st.integers(1, 20), window=st.integers(1, 60), kind=st.sampled_from(QuotaKind))
def test_who_waits_as_long_as_told_is_let_through(limit: int, window: int, kind: QuotaKind) -> None:
    quota_meter = Quota(QuotaSpec(limit, window, kind), now=0)
    now = 0.0
    for _ in range(limit * 3):
        wait = quota_meter.wait(now)
        if wait:
            now += wait
            assert quota_meter.wait(now) == 0


@pytest.mark.parametrize(
    ("limit", "window", "words"),
    [
        (200, 300, "limit:200,time:5 minute"),
        (10, 10, "limit:10,time:10 second"),
        (1, 86400, "limit:1,time:1 day"),
        (5, 90, "limit:5,time:90 second"),
    ],
)
def test_the_gateway_says_what_its_limit_is(limit: int, window: int, words: str) -> None:
    reply = Quota(QuotaSpec(limit, window), 0).refuse(1, 0, "the-id")
    assert reply.status == 429
    assert json.loads(reply.body) == {
        "error_msg": "The throttling threshold has been reached: policy user over ratelimit,"
        + words,
        "error_code": "APIGW.0308",
        "request_id": "the-id",
    }
    assert not reply.headers


def test_the_other_bodies_of_a_refusal() -> None:
    def body(kind: QuotaBody) -> bytes:
        return Quota(QuotaSpec(1, 1, body=kind), 0).refuse(1, 0, "id").body

    assert json.loads(body(QuotaBody.IMETAL))["error_code"] == "iMetal.0005"
    assert body(QuotaBody.EMPTY) == b""
    assert body(QuotaBody.TEXT) == b"Too Many Requests\n"


def test_a_refusal_says_when_to_come_again() -> None:
    in_seconds = Quota(QuotaSpec(1, 10, retry_after=RetryAfter.SECONDS), 0).refuse(4.2, 0, "id")
    assert in_seconds.headers == {"Retry-After": "5"}
    as_date = Quota(QuotaSpec(1, 10, retry_after=RetryAfter.DATE), 0).refuse(
        4.2, 1_800_000_000, "id"
    )
    assert parsedate_to_datetime(as_date.headers["Retry-After"]).timestamp() == 1_800_000_005
