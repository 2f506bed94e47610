"""The spans in which faults and quotas are active."""

import math

from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.scenario import Span

_SECONDS = st.integers(0, 500)


def test_default_span_contains_all_times() -> None:
    assert Span().contains(0)
    assert Span().contains(1e9)


def test_recurring_span_covers_the_start_of_each_period() -> None:
    span = Span(start=20, every=120, lasting=30)
    active = [now for now in range(300) if span.contains(now)]
    assert active == [*range(20, 50), *range(140, 170), *range(260, 290)]


def test_last_start_is_returned_after_the_span_has_ended() -> None:
    assert Span(start=20, end=30).last_start(1000) == 20
    assert Span(start=20, end=300, every=100, lasting=1).last_start(1000) == 220
    assert Span(start=20).last_start(19.9) is None


@given(start=_SECONDS, length=st.integers(1, 500), every=st.integers(1, 60), now=_SECONDS)
def test_span_contains_only_times_within_its_bounds(
    start: int, length: int, every: int, now: int
) -> None:
    span = Span(start, start + length, every, every / 2)
    inside = start <= now < start + length
    assert span.contains(now) == (inside and (now - start) % every < every / 2)


@given(start=_SECONDS, every=st.integers(1, 60), now=_SECONDS)
def test_last_start_is_within_one_period(start: int, every: int, now: int) -> None:
    last_start = Span(start, math.inf, every, every).last_start(now)
    if now < start:
        assert last_start is None
    else:
        assert last_start is not None
        assert 0 <= now - last_start < every
