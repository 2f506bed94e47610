"""When faults and quotas hold."""

import math

from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.scenario import Span

_SECONDS = st.integers(0, 500)


def test_a_span_holds_always_unless_told_otherwise() -> None:
    assert Span().holds(0)
    assert Span().holds(1e9)


def test_a_recurring_span_holds_at_the_beginning_of_each_period() -> None:
    span = Span(start=20, every=120, lasting=30)
    holding = [now for now in range(300) if span.holds(now)]
    assert holding == [*range(20, 50), *range(140, 170), *range(260, 290)]


def test_the_last_beginning_is_remembered_after_the_span_is_over() -> None:
    assert Span(start=20, end=30).begun(1000) == 20
    assert Span(start=20, end=300, every=100, lasting=1).begun(1000) == 220
    assert Span(start=20).begun(19.9) is None


@given(start=_SECONDS, length=st.integers(1, 500), every=st.integers(1, 60), now=_SECONDS)
def test_a_span_holds_only_within_its_bounds(start: int, length: int, every: int, now: int) -> None:
    span = Span(start, start + length, every, every / 2)
    inside = start <= now < start + length
    assert span.holds(now) == (inside and (now - start) % every < every / 2)


@given(start=_SECONDS, every=st.integers(1, 60), now=_SECONDS)
def test_the_latest_beginning_is_within_one_period(start: int, every: int, now: int) -> None:
    begun = Span(start, math.inf, every, every).begun(now)
    if now < start:
        assert begun is None
    else:
        assert begun is not None
        assert 0 <= now - begun < every
