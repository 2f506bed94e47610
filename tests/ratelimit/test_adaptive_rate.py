"""Tests of the control law: a 429 lowers the rate, and time without a 429 raises it."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.ratelimit.adaptive_rate import RECOVERY, AdaptiveRate
from exporter.ratelimit.retry_after import Policy, RateLimitResponse

NO_HINT = RateLimitResponse()


def reopened(rate: AdaptiveRate) -> float:
    """Let the test request after the cool-down succeed; return the time."""
    at = rate.resume_at
    rate.take(at)
    rate.accepted(at, at)
    return at


def test_starts_at_the_ceiling_with_a_full_burst() -> None:
    rate = AdaptiveRate(5, 3, 0)
    for _ in range(3):
        assert rate.wait(0) == 0
        rate.take(0)
    assert rate.wait(0) == pytest.approx(0.2)
    assert rate.limit(0) == 5


def test_tokens_never_exceed_the_burst() -> None:
    rate = AdaptiveRate(5, 3, 0)
    assert rate.wait(1000) == 0
    for _ in range(3):
        rate.take(1000)
    assert rate.wait(1000) > 0


def test_a_429_halves_the_rate_at_once() -> None:
    rate = AdaptiveRate(8, 1, 0)
    rate.refused(1, 1.1, NO_HINT)
    assert rate.limit(1.1) == 4


def test_a_429_for_a_request_sent_before_the_rate_was_halved_does_not_halve_it_again() -> None:
    rate = AdaptiveRate(8, 5, 0)
    for _ in range(5):
        rate.refused(1, 1.1, NO_HINT)
    rate.refused(1.1, 2.0, NO_HINT)
    assert rate.limit(2) == 4
    assert rate.resume_at == pytest.approx(3.1)


def test_a_late_429_with_a_later_retry_after_extends_the_cool_down() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1.1, NO_HINT)
    rate.refused(1, 2.0, RateLimitResponse(retry_after=30))
    assert rate.limit(2) == 4
    assert rate.resume_at == pytest.approx(32)


def test_no_request_goes_and_no_token_accrues_during_the_cool_down() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, RateLimitResponse(retry_after=100))
    assert rate.wait(1) == 100
    assert rate.wait(100.5) == 0.5
    assert rate.wait(101) == 0
    rate.take(101)
    rate.accepted(101, 101)
    assert rate.wait(101) > 0


def test_after_the_cool_down_all_wait_for_the_result_of_one_test_request() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NO_HINT)
    rate.take(3)
    assert rate.wait(3.9) == pytest.approx(1.1)
    rate.accepted(3, 3.9)
    assert rate.wait(3.9) == 0


def test_others_wait_two_seconds_at_most_for_the_test_request() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NO_HINT)
    rate.take(3)
    assert rate.wait(3) == 2
    assert rate.wait(5) == 0


def test_others_follow_when_the_test_request_gets_no_response() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NO_HINT)
    rate.take(3)
    rate.unanswered(3)
    assert rate.wait(3.5) == 0


def test_the_next_request_becomes_the_test_request_when_the_first_is_given_back() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NO_HINT)
    rate.take(3)
    rate.give_back(3)
    assert rate.wait(3) == 0
    rate.take(3)
    assert rate.wait(3) == 2


def test_cool_downs_double_from_2_to_60_seconds_while_429s_continue() -> None:
    rate = AdaptiveRate(8, 5, 0)
    now, cool_downs = 0.0, []
    for _ in range(8):
        rate.refused(now + 0.1, now + 0.1, NO_HINT)
        cool_downs.append(round(rate.resume_at - now - 0.1))
        now = rate.resume_at
    assert cool_downs == [2, 4, 8, 16, 32, 60, 60, 60]


def test_cool_downs_start_again_at_2_seconds_after_an_accepted_request() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NO_HINT)
    rate.refused(3, 3, NO_HINT)
    at = reopened(rate)
    rate.refused(at + 1, at + 1, NO_HINT)
    assert rate.resume_at == pytest.approx(at + 3)


def test_cool_downs_start_again_at_2_seconds_after_time_without_a_429() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NO_HINT)
    rate.refused(3, 3, NO_HINT)
    rate.refused(900, 900, NO_HINT)
    assert rate.resume_at == 902


def test_a_slow_rate_cools_down_for_the_time_of_one_request_at_least() -> None:
    rate = AdaptiveRate(0.2, 1, 0)
    rate.refused(1, 1, NO_HINT)
    assert rate.resume_at == pytest.approx(11)


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (Policy(10, 1), 1),
        (Policy(100, 10), 2),
        (Policy(600, 60), 3),
        (Policy(3000, 300), 15),
        (Policy(10**6, 86400), 60),
    ],
)
def test_a_stated_policy_cools_down_for_a_twentieth_of_its_window(
    policy: Policy, seconds: float
) -> None:
    rate = AdaptiveRate(20, 5, 0)
    rate.refused(1, 1, RateLimitResponse(policy=policy))
    assert rate.resume_at == pytest.approx(1 + seconds)


def test_retry_after_is_obeyed_exactly() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, RateLimitResponse(retry_after=17, policy=Policy(10, 1)))
    assert rate.resume_at == 18


def test_the_cool_down_doubles_when_retry_after_was_too_short() -> None:
    rate = AdaptiveRate(8, 5, 0)
    now = 1.0
    for expected in (1, 2, 4, 8):
        rate.refused(now, now, RateLimitResponse(retry_after=1))
        assert rate.resume_at - now == expected
        now = rate.resume_at


def test_the_first_plateau_is_half_the_rate_at_the_429() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NO_HINT)
    reopened(rate)
    assert rate.limit(30) == 4
    assert rate.limit(160) == 4


def test_a_429_on_the_plateau_measures_the_quota_by_the_accepted_requests() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NO_HINT)
    at = reopened(rate)
    for _ in range(29):
        rate.accepted(at + 1, at + 1)
    rate.refused(at + 10, at + 10, NO_HINT)
    at = reopened(rate)
    # 30 requests in 10 s.
    assert rate.limit(at + 10) == pytest.approx(0.95 * 3)


def test_closed_time_counts_while_the_quota_stays_closed() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NO_HINT)
    at = reopened(rate)
    for _ in range(29):
        rate.accepted(at + 1, at + 1)
    rate.refused(10, 10, NO_HINT)
    rate.refused(12, 12, NO_HINT)
    rate.refused(16, 16, NO_HINT)
    at = reopened(rate)
    assert rate.limit(at + 10) == pytest.approx(0.95 * 30 / 16)


def test_a_429_on_the_plateau_halves_it_at_most() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NO_HINT)
    reopened(rate)
    rate.refused(100, 100, NO_HINT)
    at = reopened(rate)
    assert rate.limit(at + 10) == 2


def test_a_quota_that_stays_closed_quarters_the_plateau_at_most() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NO_HINT)
    reopened(rate)
    rate.refused(100, 100, NO_HINT)
    rate.refused(103, 103, NO_HINT)
    at = reopened(rate)
    assert rate.limit(at + 10) == 1


def test_a_429_while_exploring_raises_the_plateau() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NO_HINT)
    reopened(rate)
    refused = rate.limit(240)
    assert 4 < refused < 5
    rate.refused(240, 240, NO_HINT)
    at = reopened(rate)
    assert rate.limit(at + 10) == pytest.approx(0.95 * refused)


def test_a_stated_policy_limits_the_plateau() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, RateLimitResponse(policy=Policy(200, 300)))
    at = reopened(rate)
    assert rate.limit(at + 10) == pytest.approx(0.95 * 200 / 300)


def test_the_rate_rises_steadily_and_is_at_the_ceiling_after_the_recovery_time() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NO_HINT)
    reopened(rate)
    limits = [rate.limit(second) for second in range(301)]
    assert all(earlier <= later for earlier, later in pairwise(limits))
    assert limits[289] < 8
    assert limits[290] == 8


def test_an_idle_project_returns_to_the_ceiling_too() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NO_HINT)
    assert rate.limit(RECOVERY) == 8


def test_the_burst_grows_with_the_rate() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NO_HINT)
    at = reopened(rate)

    def burst(now: float) -> int:
        count = 0
        while rate.wait(now) == 0:
            rate.take(now)
            count += 1
        return count

    assert burst(at + 100) == 1
    assert burst(RECOVERY + 10) == 5


EVENT = st.tuples(
    st.sampled_from(("refused", "accepted", "unanswered")),
    st.floats(0, 400),
    st.floats(0, 30),
    st.sampled_from(
        (
            NO_HINT,
            RateLimitResponse(retry_after=1),
            RateLimitResponse(retry_after=240),
            RateLimitResponse(policy=Policy(1, 86400)),
            RateLimitResponse(policy=Policy(10**9, 1)),
        )
    ),
)


@given(
    st.floats(0.001, 1000),
    st.integers(1, 100),
    st.lists(EVENT, max_size=40),
)
def test_any_events_keep_the_rate_between_floor_and_ceiling_and_every_wait_finite(
    ceiling: float, burst: int, events: list[tuple[str, float, float, RateLimitResponse]]
) -> None:
    rate = AdaptiveRate(ceiling, burst, 0)
    floor = min(ceiling, 1 / 60)
    now = 0.0
    for kind, seconds, round_trip, response in events:
        lowered_at, limit = rate.lowered_at, rate.limit(now)
        now += seconds
        wait = rate.wait(now)
        assert 0 <= wait <= 240 + 1 / floor
        if wait == 0:
            rate.take(now)
        granted_at = max(0.0, now - round_trip)
        if kind == "refused":
            limit = rate.limit(now)
            rate.refused(granted_at, now, response)
            if granted_at <= lowered_at:
                assert rate.limit(now) == limit
                assert rate.lowered_at == lowered_at
            else:
                assert rate.limit(now) <= max(floor, limit / 2)
                assert rate.wait(now) >= 0.99
        elif kind == "accepted":
            rate.accepted(granted_at, now)
        else:
            rate.unanswered(granted_at)
        assert floor * 0.999 <= rate.limit(now) <= ceiling
    assert rate.limit(now + RECOVERY + 1e-6) == ceiling


@given(
    st.floats(0.05, 50),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 9)), min_size=10, max_size=300),
)
def test_no_period_has_more_requests_than_burst_and_ceiling_allow(
    ceiling: float, burst: int, steps: list[tuple[float, int]]
) -> None:
    rate = AdaptiveRate(ceiling, burst, 0)
    now, granted = 0.0, list[float]()
    for pause, result in steps:
        now += pause + rate.wait(now)
        if rate.wait(now) > 0:
            continue
        rate.take(now)
        granted.append(now)
        if result == 0:
            rate.refused(now, now + 0.1, NO_HINT)
        else:
            rate.accepted(now, now + 0.1)
    for first, since in enumerate(granted):
        for last in range(first, len(granted)):
            allowed = burst + ceiling * (granted[last] - since)
            assert last - first + 1 <= math.floor(allowed + 1e-6)
