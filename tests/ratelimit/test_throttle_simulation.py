"""Tests of fleets with a quota of half the demand, in virtual time; see `benchmarks/pacing.py`."""

from collections.abc import Callable

import pytest

from benchmarks.throttled_fleet import FixedWindow, QuotaSpec, Scenario, TokenBucket, run


def bucket(seconds: float) -> Callable[[float], QuotaSpec]:
    return lambda rate: TokenBucket(rate, max(1, rate * seconds))


def window(seconds: float) -> Callable[[float], QuotaSpec]:
    return lambda rate: FixedWindow(rate, seconds)


HINTS = ["", "retry-after", "policy"]


@pytest.mark.parametrize("hint", HINTS)
@pytest.mark.parametrize("ceiling", [1, 2, 5])
@pytest.mark.parametrize("seconds", [2, 10])
@pytest.mark.parametrize(("servers", "interval"), [(20, 10), (60, 60)])
def test_half_the_quota_starves_no_server_and_gets_few_429s(
    servers: int, interval: float, seconds: float, ceiling: float, hint: str
) -> None:
    result = run(Scenario(servers, interval, ceiling, bucket(seconds), hint=hint))
    assert result.worst_settled_gap <= 4
    assert result.settled_share < 0.02
    assert result.recovery <= 300


@pytest.mark.parametrize("hint", HINTS)
@pytest.mark.parametrize(("servers", "interval", "ceiling"), [(20, 10, 5), (60, 60, 2)])
def test_a_window_of_ten_seconds_gives_nearly_the_same_results(
    servers: int, interval: float, ceiling: float, hint: str
) -> None:
    result = run(Scenario(servers, interval, ceiling, window(10), hint=hint))
    assert result.worst_settled_gap <= 4.25
    assert result.settled_share < 0.025
    assert result.recovery <= 300


def test_a_large_fleet_with_long_round_trips_gives_the_same_results() -> None:
    result = run(Scenario(500, 10, 2, bucket(2), round_trip=(0.3, 1.0), returns_at=900.0))
    assert result.worst_settled_gap <= 4
    assert result.settled_share < 0.02
    assert result.recovery <= 300


@pytest.mark.parametrize("hint", HINTS)
def test_a_window_of_a_minute_starves_no_server_probed_once_a_minute(hint: str) -> None:
    result = run(Scenario(100, 60, 2, window(60), hint=hint))
    assert result.worst_settled_gap <= 4
    assert result.recovery <= 300


@pytest.mark.parametrize("hint", HINTS)
@pytest.mark.parametrize("ceiling", [1, 5])
def test_a_window_of_five_minutes_is_used_up_and_recovered_from_in_time(
    ceiling: float, hint: str
) -> None:
    result = run(Scenario(100, 60, ceiling, window(300), hint=hint))
    # Once used up, the window stays closed for minutes: some wait over 4 intervals.
    assert result.worst_settled_gap <= 6
    assert result.recovery <= 300


def test_the_rate_yields_to_other_users_of_the_quota_and_recovers() -> None:
    result = run(Scenario(100, 20, 2, bucket(10), others=0.5))
    assert result.settled_share < 0.02
    assert result.recovery <= 300


def test_a_scenario_gives_the_same_result_each_time() -> None:
    scenario = Scenario(20, 20, 2, bucket(2), returns_at=400.0)
    assert run(scenario) == run(scenario)
