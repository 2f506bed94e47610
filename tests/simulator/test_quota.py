"""Quotas limit requests and return the cloud's 429 responses."""

import json
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.quota import Quota
from exporter.simulator.scenario import QuotaBody, QuotaKind, QuotaSpec, RetryAfter


def test_token_bucket_allows_its_limit_at_once_then_refills_evenly() -> None:
    quota = Quota(QuotaSpec(limit=2, window=10), now=0)
    assert [quota.wait(0) for _ in range(3)] == [0, 0, 5]
    assert quota.wait(4) == pytest.approx(1)
    assert quota.wait(5) == 0
    assert quota.wait(5) == pytest.approx(5)


def test_fixed_window_allows_its_limit_in_each_window() -> None:
    quota = Quota(QuotaSpec(limit=2, window=10, kind=QuotaKind.FIXED_WINDOW), now=0)
    assert [quota.wait(now) for now in (3, 8, 9)] == [0, 0, 1]
    assert [quota.wait(now) for now in (10, 10, 12)] == [0, 0, 8]


def test_quota_applies_only_within_its_span() -> None:
    quota = Quota(QuotaSpec(limit=1, window=10, start=20, end=30), now=0)
    assert [quota.wait(now) > 0 for now in (1, 1, 20, 20, 29, 30, 30)] == [
        *(False, False),
        *(False, True, True),
        *(False, False),
    ]


@given(
    limit=st.integers(1, 20),
    window=st.integers(1, 60),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_token_bucket_never_exceeds_limit_plus_rate(
    limit: int, window: int, gaps: list[float]
) -> None:
    quota = Quota(QuotaSpec(limit=limit, window=window), now=0)
    now, allowed = 0.0, 0
    for gap in gaps:
        now += gap
        allowed += quota.wait(now) == 0
        assert allowed <= limit + now * limit / window + 1e-6


@given(limit=st.integers(1, 20), window=st.integers(1, 60), kind=st.sampled_from(QuotaKind))
def test_request_is_allowed_after_the_returned_wait(
    limit: int, window: int, kind: QuotaKind
) -> None:
    quota = Quota(QuotaSpec(limit=limit, window=window, kind=kind), now=0)
    now = 0.0
    for _ in range(limit * 3):
        wait = quota.wait(now)
        if wait:
            now += wait
            assert quota.wait(now) == 0


@pytest.mark.parametrize(
    ("limit", "window", "suffix"),
    [
        (200, 300, "limit:200,time:5 minute"),
        (10, 10, "limit:10,time:10 second"),
        (1, 86400, "limit:1,time:1 day"),
        (5, 90, "limit:5,time:90 second"),
    ],
)
def test_gateway_error_contains_the_limit(limit: int, window: int, suffix: str) -> None:
    reply = Quota(QuotaSpec(limit=limit, window=window), 0).too_many_requests(1, 0, "the-id")
    assert reply.status == 429
    assert json.loads(reply.body) == {
        "error_msg": "The throttling threshold has been reached: policy user over ratelimit,"
        + suffix,
        "error_code": "APIGW.0308",
        "request_id": "the-id",
    }
    assert not reply.headers


def test_other_bodies_of_a_429() -> None:
    def body(kind: QuotaBody) -> bytes:
        return Quota(QuotaSpec(limit=1, window=1, body=kind), 0).too_many_requests(1, 0, "id").body

    assert json.loads(body(QuotaBody.IMETAL))["error_code"] == "iMetal.0005"
    assert body(QuotaBody.EMPTY) == b""
    assert body(QuotaBody.TEXT) == b"Too Many Requests\n"


def test_retry_after_is_in_seconds_or_a_date() -> None:
    in_seconds = Quota(
        QuotaSpec(limit=1, window=10, retry_after=RetryAfter.SECONDS), 0
    ).too_many_requests(4.2, 0, "id")
    assert in_seconds.headers == {"Retry-After": "5"}
    as_date = Quota(
        QuotaSpec(limit=1, window=10, retry_after=RetryAfter.DATE), 0
    ).too_many_requests(4.2, 1_800_000_000, "id")
    assert parsedate_to_datetime(as_date.headers["Retry-After"]).timestamp() == 1_800_000_005
