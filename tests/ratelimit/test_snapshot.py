"""A throttle across a restart: the cool-down goes on, the pace stays low, and never too long."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.http.response import Answer
from exporter.ratelimit.adaptive_rate import RECOVERY, Pace
from exporter.ratelimit.retry_after import RETRY_AFTER_MAX, Refusal
from exporter.ratelimit.snapshot import Learned
from exporter.ratelimit.throttle import Throttle

if TYPE_CHECKING:
    from tests.conftest import MovedClock

FIGURES = st.floats(-1e12, 1e12)
ANY = st.builds(Learned, *[FIGURES] * 8)


def throttle(clock: "MovedClock", rate: float = 8.0) -> Throttle:
    return Throttle(requests_per_second=rate, burst=5, clock=clock)


async def refused(clock: "MovedClock", rate: float = 8.0) -> Throttle:
    subject = throttle(clock, rate)
    turn = await subject.turn(0)
    await clock.advance(0.1)
    subject.answered(turn, 429, Answer(429, httpx.Headers({"retry-after": "30"}), b"", 0.1))
    return subject


async def restarted(clock: "MovedClock", subject: Throttle, rate: float = 8.0) -> Throttle:
    learned = subject.learned()
    assert learned is not None
    read = Learned.read(learned.written())
    assert read == learned
    again = throttle(clock, rate)
    again.recall(read)
    return again


async def test_before_the_first_refusal_there_is_nothing_to_learn(clock: "MovedClock") -> None:
    subject = throttle(clock)
    await subject.turn(0)
    assert subject.learned() is None


async def test_a_cool_down_goes_on(clock: "MovedClock") -> None:
    before = await refused(clock)
    await clock.advance(10)
    after = await restarted(clock, before)
    assert after.resume_at == pytest.approx(before.resume_at)
    assert after.limit == pytest.approx(before.limit) == pytest.approx(4)
    asked_at = clock.monotonic()
    waiting = asyncio.create_task(after.turn(0))
    await clock.advance(19.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert (await waiting).granted_at - asked_at == pytest.approx(20)


async def test_after_the_cool_down_one_goes_ahead_alone(clock: "MovedClock") -> None:
    before = await refused(clock)
    await clock.advance(60)
    after = await restarted(clock, before)
    turns = [asyncio.create_task(after.turn(0)) for _ in range(5)]
    await clock.advance(1)
    assert sum(turn.done() for turn in turns) == 1
    after.answered(turns[0].result(), 200, None)
    await clock.advance(2)
    assert all(turn.done() for turn in turns)


async def test_the_pace_rises_again_as_without_a_restart(clock: "MovedClock") -> None:
    before = await refused(clock)
    await clock.advance(RECOVERY - 10)
    after = await restarted(clock, before)
    assert after.limit < 8
    await clock.advance(10)
    assert after.limit == 8


async def test_long_after_the_refusal_the_ceiling_holds(clock: "MovedClock") -> None:
    before = await refused(clock)
    await clock.advance(RECOVERY + 1)
    after = await restarted(clock, before)
    assert after.limit == 8
    for _ in range(5):
        assert (await after.turn(0)).waited == 0


async def test_a_ceiling_lowered_meanwhile_is_not_exceeded(clock: "MovedClock") -> None:
    before = await refused(clock)
    await clock.advance(35)
    after = await restarted(clock, before, rate=1)
    for _ in range(40):
        assert after.limit <= 1
        await clock.advance(10)


@pytest.mark.parametrize(("ahead", "lowered"), [(30.0, True), (3600.0, False)])
async def test_what_was_learned_in_the_future_is_taken_for_now_or_dropped(
    clock: "MovedClock",
    ahead: float,
    lowered: bool,  # noqa: FBT001
) -> None:
    before = await refused(clock)
    learned = before.learned()
    assert learned is not None
    after = throttle(clock)
    after.recall(learned.shifted(ahead))
    assert (after.limit < 8) is lowered
    assert after.resume_at <= clock.time() + 30


@given(ANY, st.floats(0.001, 1000), st.integers(1, 100))
def test_whatever_is_recalled_the_pace_stays_below_its_ceiling(
    learned: Learned, ceiling: float, burst: int
) -> None:
    pace = Pace(ceiling, burst, 0.0)
    pace.recall(learned, 0.0)
    for now in (0.0, 1.0, 100.0, 1000.0):
        assert 0 < pace.limit(now) <= ceiling
    pace.refused(1001.0, 1001.5, Refusal())
    assert 0 < pace.limit(1002.0) <= ceiling


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(learned=ANY)
def test_whatever_is_recalled_nobody_waits_longer_than_the_cloud_can_ask(
    clock: "MovedClock", learned: Learned
) -> None:
    subject = throttle(clock)
    subject.recall(learned)
    assert subject.resume_at <= clock.time() + RETRY_AFTER_MAX


@given(ANY)
def test_what_is_written_is_read(learned: Learned) -> None:
    assert Learned.read(learned.written()) == learned


@pytest.mark.parametrize("written", ["", "null", "[]", "{}", '{"lowered_at": "x"}', "[" * 100_000])
def test_what_is_nothing_learned_is_none(written: str) -> None:
    assert Learned.read(written) is None


def test_figures_that_are_no_numbers_are_none() -> None:
    learned = Learned(*[1.0] * 8)
    assert Learned.read(replace(learned, low=float("nan")).written()) is None
    assert Learned.read(replace(learned, resume_at=float("inf")).written()) is None
