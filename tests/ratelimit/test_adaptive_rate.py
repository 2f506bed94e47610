"""The control law: how a 429 lowers the pace and how quiet time raises it."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.ratelimit.adaptive_rate import RECOVERY, AdaptiveRate
from exporter.ratelimit.retry_after import Policy, RateLimitResponse

NOTHING_SAID = RateLimitResponse()


def reopened(rate: AdaptiveRate) -> float:
    """Let the request after the cool-down through; return when."""
    at = rate.resume_at
    rate.take(at)
    rate.let_through(at, at)
    return at


def test_it_starts_at_the_ceiling_with_a_whole_burst() -> None:
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


def test_a_429_halves_the_pace_at_once() -> None:
    rate = AdaptiveRate(8, 1, 0)
    rate.refused(1, 1.1, NOTHING_SAID)
    assert rate.limit(1.1) == 4


def test_a_429_to_a_request_under_way_when_the_pace_was_halved_does_not_halve_it_again() -> None:
    rate = AdaptiveRate(8, 5, 0)
    for _ in range(5):
        rate.refused(1, 1.1, NOTHING_SAID)
    rate.refused(1.1, 2.0, NOTHING_SAID)
    assert rate.limit(2) == 4
    assert rate.resume_at == pytest.approx(3.1)


def test_a_late_429_with_a_later_retry_after_prolongs_the_cool_down_all_the_same() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1.1, NOTHING_SAID)
    rate.refused(1, 2.0, RateLimitResponse(retry_after=30))
    assert rate.limit(2) == 4
    assert rate.resume_at == pytest.approx(32)


def test_nothing_goes_and_no_token_accrues_during_the_cool_down() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, RateLimitResponse(retry_after=100))
    assert rate.wait(1) == 100
    assert rate.wait(100.5) == 0.5
    assert rate.wait(101) == 0
    rate.take(101)
    rate.let_through(101, 101)
    assert rate.wait(101) > 0


def test_after_the_cool_down_one_request_goes_ahead_until_it_is_answered() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NOTHING_SAID)
    rate.take(3)
    assert rate.wait(3.9) == pytest.approx(1.1)
    rate.let_through(3, 3.9)
    assert rate.wait(3.9) == 0


def test_the_request_that_goes_ahead_is_not_waited_for_longer_than_two_seconds() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NOTHING_SAID)
    rate.take(3)
    assert rate.wait(3) == 2
    assert rate.wait(5) == 0


def test_when_the_request_that_goes_ahead_gets_no_answer_the_others_follow() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NOTHING_SAID)
    rate.take(3)
    rate.unanswered(3)
    assert rate.wait(3.5) == 0


def test_when_the_request_that_goes_ahead_is_given_back_the_next_goes_ahead() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NOTHING_SAID)
    rate.take(3)
    rate.give_back(3)
    assert rate.wait(3) == 0
    rate.take(3)
    assert rate.wait(3) == 2


def test_cool_downs_double_from_2_to_60_seconds_while_429s_keep_coming() -> None:
    rate = AdaptiveRate(8, 5, 0)
    now, seen = 0.0, []
    for _ in range(8):
        rate.refused(now + 0.1, now + 0.1, NOTHING_SAID)
        seen.append(round(rate.resume_at - now - 0.1))
        now = rate.resume_at
    assert seen == [2, 4, 8, 16, 32, 60, 60, 60]


def test_cool_downs_start_again_at_2_seconds_once_a_request_was_let_through() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NOTHING_SAID)
    rate.refused(3, 3, NOTHING_SAID)
    at = reopened(rate)
    rate.refused(at + 1, at + 1, NOTHING_SAID)
    assert rate.resume_at == pytest.approx(at + 3)


def test_cool_downs_start_again_at_2_seconds_after_quiet_time() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NOTHING_SAID)
    rate.refused(3, 3, NOTHING_SAID)
    rate.refused(900, 900, NOTHING_SAID)
    assert rate.resume_at == 902


def test_a_slow_pace_cools_down_for_no_less_than_one_request_takes() -> None:
    rate = AdaptiveRate(0.2, 1, 0)
    rate.refused(1, 1, NOTHING_SAID)
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


def test_a_retry_after_that_proved_too_short_is_not_believed_again() -> None:
    rate = AdaptiveRate(8, 5, 0)
    now = 1.0
    for expected in (1, 2, 4, 8):
        rate.refused(now, now, RateLimitResponse(retry_after=1))
        assert rate.resume_at - now == expected
        now = rate.resume_at


def test_the_first_plateau_is_half_the_refused_pace() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(1, 1, NOTHING_SAID)
    reopened(rate)
    assert rate.limit(30) == 4
    assert rate.limit(160) == 4


def test_a_refusal_on_the_plateau_measures_the_quota_by_what_was_let_through() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NOTHING_SAID)
    at = reopened(rate)
    for _ in range(29):
        rate.let_through(at + 1, at + 1)
    rate.refused(at + 10, at + 10, NOTHING_SAID)
    at = reopened(rate)
    # 30 requests in 10 s.
    assert rate.limit(at + 10) == pytest.approx(0.95 * 3)


def test_while_the_quota_stays_closed_the_closed_time_counts() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NOTHING_SAID)
    at = reopened(rate)
    for _ in range(29):
        rate.let_through(at + 1, at + 1)
    rate.refused(10, 10, NOTHING_SAID)
    rate.refused(12, 12, NOTHING_SAID)
    rate.refused(16, 16, NOTHING_SAID)
    at = reopened(rate)
    assert rate.limit(at + 10) == pytest.approx(0.95 * 30 / 16)


def test_a_refusal_on_the_plateau_at_most_halves_it() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NOTHING_SAID)
    reopened(rate)
    rate.refused(100, 100, NOTHING_SAID)
    at = reopened(rate)
    assert rate.limit(at + 10) == 2


def test_a_quota_that_stays_closed_at_most_quarters_the_plateau() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NOTHING_SAID)
    reopened(rate)
    rate.refused(100, 100, NOTHING_SAID)
    rate.refused(103, 103, NOTHING_SAID)
    at = reopened(rate)
    assert rate.limit(at + 10) == 1


def test_a_refusal_while_exploring_raises_the_plateau() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NOTHING_SAID)
    reopened(rate)
    refused = rate.limit(240)
    assert 4 < refused < 5
    rate.refused(240, 240, NOTHING_SAID)
    at = reopened(rate)
    assert rate.limit(at + 10) == pytest.approx(0.95 * refused)


def test_a_stated_policy_bounds_the_plateau() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, RateLimitResponse(policy=Policy(200, 300)))
    at = reopened(rate)
    assert rate.limit(at + 10) == pytest.approx(0.95 * 200 / 300)


def test_the_pace_rises_step_by_step_and_is_at_the_ceiling_when_the_recovery_ends() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NOTHING_SAID)
    reopened(rate)
    paces = [rate.limit(second) for second in range(301)]
    assert all(earlier <= later for earlier, later in pairwise(paces))
    assert paces[289] < 8
    assert paces[290] == 8


def test_an_idle_project_is_back_at_the_ceiling_too() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NOTHING_SAID)
    assert rate.limit(RECOVERY) == 8


def test_bursts_come_back_with_the_pace() -> None:
    rate = AdaptiveRate(8, 5, 0)
    rate.refused(0, 0, NOTHING_SAID)
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
    st.sampled_from(("refused", "let_through", "unanswered")),
    st.floats(0, 400),
    st.floats(0, 30),
    st.sampled_from(
        (
            NOTHING_SAID,
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
def test_whatever_happens_the_pace_stays_between_floor_and_ceiling_and_every_wait_ends(
    ceiling: float, burst: int, events: list[tuple[str, float, float, RateLimitResponse]]
) -> None:
    rate = AdaptiveRate(ceiling, burst, 0)
    floor = min(ceiling, 1 / 60)
    now = 0.0
    for kind, seconds, round_trip, refusal in events:
        lowered_at, limit = rate.lowered_at, rate.limit(now)
        now += seconds
        wait = rate.wait(now)
        assert 0 <= wait <= 240 + 1 / floor
        if wait == 0:
            rate.take(now)
        granted_at = max(0.0, now - round_trip)
        if kind == "refused":
            limit = rate.limit(now)
            rate.refused(granted_at, now, refusal)
            if granted_at <= lowered_at:
                assert rate.limit(now) == limit
                assert rate.lowered_at == lowered_at
            else:
                assert rate.limit(now) <= max(floor, limit / 2)
                assert rate.wait(now) >= 0.99
        elif kind == "let_through":
            rate.let_through(granted_at, now)
        else:
            rate.unanswered(granted_at)
        assert floor * 0.999 <= rate.limit(now) <= ceiling
    assert rate.limit(now + RECOVERY + 1e-6) == ceiling


@given(
    st.floats(0.05, 50),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 9)), min_size=10, max_size=300),
)
def test_over_any_span_no_more_goes_than_the_burst_and_the_ceiling_allow(
    ceiling: float, burst: int, steps: list[tuple[float, int]]
) -> None:
    rate = AdaptiveRate(ceiling, burst, 0)
    now, granted = 0.0, list[float]()
    for pause, fate in steps:
        now += pause + rate.wait(now)
        if rate.wait(now) > 0:
            continue
        rate.take(now)
        granted.append(now)
        if fate == 0:
            rate.refused(now, now + 0.1, NOTHING_SAID)
        else:
            rate.let_through(now, now + 0.1)
    for first, since in enumerate(granted):
        for last in range(first, len(granted)):
            allowed = burst + ceiling * (granted[last] - since)
            assert last - first + 1 <= math.floor(allowed + 1e-6)
