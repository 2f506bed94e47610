"""Tests of a throttle across a restart: the cool-down and the reduced rate are restored."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.ratelimit.adaptive_rate import RECOVERY, AdaptiveRate
from exporter.ratelimit.retry_after import RETRY_AFTER_MAX, RateLimitResponse
from exporter.ratelimit.snapshot import RateSnapshot
from exporter.ratelimit.throttle import Throttle
from tests.http.responses import received

if TYPE_CHECKING:
    from tests.conftest import FakeClock

NUMBERS = st.floats(-1e12, 1e12)
SNAPSHOTS = st.builds(RateSnapshot, *[NUMBERS] * 8)


def throttle(clock: "FakeClock", rate: float = 8.0) -> Throttle:
    return Throttle(requests_per_second=rate, burst=5, clock=clock)


async def refused(clock: "FakeClock", rate: float = 8.0) -> Throttle:
    subject = throttle(clock, rate)
    permit = await subject.permit(0)
    await clock.advance(0.1)
    subject.answered(permit, 429, received(429, httpx.Headers({"retry-after": "30"}), b"", 0.1))
    return subject


async def restarted(clock: "FakeClock", subject: Throttle, rate: float = 8.0) -> Throttle:
    saved = subject.snapshot()
    assert saved is not None
    restored = throttle(clock, rate)
    restored.restore(saved)
    return restored


async def test_there_is_no_snapshot_before_the_first_429(clock: "FakeClock") -> None:
    subject = throttle(clock)
    await subject.permit(0)
    assert subject.snapshot() is None


async def test_the_cool_down_continues(clock: "FakeClock") -> None:
    before = await refused(clock)
    await clock.advance(10)
    after = await restarted(clock, before)
    assert after.resume_at == pytest.approx(before.resume_at)
    assert after.limit == pytest.approx(before.limit) == pytest.approx(4)
    requested_at = clock.monotonic()
    waiting = asyncio.create_task(after.permit(0))
    await clock.advance(19.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert (await waiting).granted_at - requested_at == pytest.approx(20)


async def test_a_single_test_request_goes_first_after_the_cool_down(clock: "FakeClock") -> None:
    before = await refused(clock)
    await clock.advance(60)
    after = await restarted(clock, before)
    permits = [asyncio.create_task(after.permit(0)) for _ in range(5)]
    await clock.advance(1)
    assert sum(permit.done() for permit in permits) == 1
    after.answered(permits[0].result(), 200, None)
    await clock.advance(2)
    assert all(permit.done() for permit in permits)


async def test_the_rate_rises_as_without_a_restart(clock: "FakeClock") -> None:
    before = await refused(clock)
    await clock.advance(RECOVERY - 10)
    after = await restarted(clock, before)
    assert after.limit < 8
    await clock.advance(10)
    assert after.limit == 8


async def test_the_rate_is_at_the_ceiling_long_after_the_429(clock: "FakeClock") -> None:
    before = await refused(clock)
    await clock.advance(RECOVERY + 1)
    after = await restarted(clock, before)
    assert after.limit == 8
    for _ in range(5):
        assert (await after.permit(0)).waited == 0


async def test_a_ceiling_lowered_by_the_restart_is_not_exceeded(clock: "FakeClock") -> None:
    before = await refused(clock)
    await clock.advance(35)
    after = await restarted(clock, before, rate=1)
    for _ in range(40):
        assert after.limit <= 1
        await clock.advance(10)


@pytest.mark.parametrize(("ahead", "lowered"), [(30.0, True), (3600.0, False)])
async def test_a_snapshot_from_the_future_counts_as_of_now_or_is_ignored(
    clock: "FakeClock",
    ahead: float,
    lowered: bool,  # noqa: FBT001
) -> None:
    before = await refused(clock)
    snapshot = RateSnapshot.from_json(before.snapshot() or "")
    assert snapshot is not None
    after = throttle(clock)
    after.restore(snapshot.shifted(ahead).to_json())
    assert (after.limit < 8) is lowered
    assert after.resume_at <= clock.time() + 30


@given(SNAPSHOTS, st.floats(0.001, 1000), st.integers(1, 100))
def test_any_restored_snapshot_keeps_the_rate_below_the_ceiling(
    snapshot: RateSnapshot, ceiling: float, burst: int
) -> None:
    rate = AdaptiveRate(ceiling, burst, 0.0)
    rate.restore(snapshot, 0.0)
    for now in (0.0, 1.0, 100.0, 1000.0):
        assert 0 < rate.limit(now) <= ceiling
    rate.refused(1001.0, 1001.5, RateLimitResponse())
    assert 0 < rate.limit(1002.0) <= ceiling


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(snapshot=SNAPSHOTS)
def test_any_restored_snapshot_resumes_within_the_maximum_retry_after(
    clock: "FakeClock", snapshot: RateSnapshot
) -> None:
    subject = throttle(clock)
    subject.restore(snapshot.to_json())
    assert subject.resume_at <= clock.time() + RETRY_AFTER_MAX


@given(SNAPSHOTS)
def test_a_snapshot_survives_conversion_to_json(snapshot: RateSnapshot) -> None:
    assert RateSnapshot.from_json(snapshot.to_json()) == snapshot


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"lowered_at": "x"}', "[" * 100_000])
def test_invalid_json_is_no_snapshot(clock: "FakeClock", text: str) -> None:
    assert RateSnapshot.from_json(text) is None
    subject = throttle(clock)
    subject.restore(text)
    assert (subject.limit, subject.resume_at) == (8, 0)


def test_numbers_that_are_not_finite_make_no_snapshot() -> None:
    snapshot = RateSnapshot(*[1.0] * 8)
    assert RateSnapshot.from_json(replace(snapshot, low=float("nan")).to_json()) is None
    assert RateSnapshot.from_json(replace(snapshot, resume_at=float("inf")).to_json()) is None
