"""Tests that probes continue evenly after the wall clock is set."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any, Self

import apscheduler.schedulers.base
import pytest

from exporter.clock import SystemClock
from exporter.outcome import Outcome
from tests.hostile.loop_blocking import watching_the_loop
from tests.scheduling.fake_prober import INTERVAL, Bench, FakeProber, target

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
JUMPS = [-20 * YEAR, -DAY, -HOUR, -INTERVAL - 3, -4.0, 4.0, INTERVAL + 3, HOUR, DAY, 20 * YEAR]


@pytest.mark.parametrize("jump", JUMPS)
async def test_every_target_is_probed_within_two_intervals_without_a_burst(
    bench: Bench, jump: float
) -> None:
    names = [f"s{number}" for number in range(100)]
    bench.scheduler.reconcile([target(name) for name in names])
    await bench.pass_time(2 * INTERVAL)
    before = len(bench.prober.started)
    bench.clock.set_wall_clock(jump)
    per_step = []
    for _ in range(round(2 * INTERVAL / 0.5)):
        count = len(bench.prober.started)
        await bench.pass_time(0.5)
        per_step.append(len(bench.prober.started) - count)
    after = bench.prober.started[before:]
    assert {name for name, _ in after} == set(names)
    # Half a second of a 10 s interval has on average 5 of 100 targets.
    assert max(per_step) <= 20
    assert all(
        started == pytest.approx(bench.clock.time(), abs=2 * INTERVAL) for _, started in after
    )


@pytest.mark.parametrize(
    ("jump", "missed"), [(-DAY, 0), (-3.0, 0), (HOUR, 360), (DAY, 8640), (20 * YEAR, 8640)]
)
async def test_skipped_slots_are_counted_as_missed_up_to_one_day(
    bench: Bench, jump: float, missed: int
) -> None:
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(INTERVAL)
    bench.clock.set_wall_clock(jump)
    await bench.pass_time(3 * INTERVAL)
    assert bench.missed == missed
    # The clock step does not count as lateness.
    assert all(0 <= late <= 0.5 for late in bench.lateness)


@pytest.mark.parametrize("jump", JUMPS)
async def test_overdue_targets_are_counted_by_elapsed_time(bench: Bench, jump: float) -> None:
    bench.scheduler.reconcile([target("a"), target("b")])
    await bench.pass_time(INTERVAL)
    bench.clock.set_wall_clock(jump)
    await bench.pass_time(2 * INTERVAL)
    assert bench.scheduler.overdue == 0
    bench.prober.permits.clear()
    await bench.pass_time(4 * INTERVAL)
    assert bench.scheduler.overdue == 2


async def test_a_clock_set_back_does_not_change_the_order_of_the_queue(bench: Bench) -> None:
    bench.prober.outcome = Outcome.THROTTLED
    bench.scheduler.reconcile([target("unlucky")])
    await bench.pass_time(INTERVAL)
    bench.clock.set_wall_clock(-DAY)
    bench.scheduler.reconcile([target("unlucky"), target("newcomer")])
    await bench.pass_time(2 * INTERVAL)
    # The throttle grants permits in the order of due times.
    assert bench.prober.dues[0] < min(
        due for due in bench.prober.dues if due != bench.prober.dues[0]
    )


class Skewed(SystemClock):
    """The system clock with an offset of the wall clock."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


@pytest.fixture
def skewed(monkeypatch: pytest.MonkeyPatch) -> Skewed:
    """Return a clock that APScheduler uses as well."""
    clock = Skewed()

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(clock.time(), tz)

    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Now)
    return clock


@pytest.mark.parametrize("jump", [-HOUR, DAY, 10 * YEAR])
async def test_apscheduler_resumes_at_once_after_any_clock_step(skewed: Any, jump: float) -> None:
    bench = Bench(skewed, FakeProber(skewed))
    names = {f"s{number}" for number in range(20)}
    bench.scheduler.reconcile([target(name, interval=1.0) for name in names])
    bench.scheduler.start()
    await _until(lambda: len(bench.results) >= len(names))
    async with watching_the_loop() as held:
        skewed.ahead = jump
        before = len(bench.results)
        await _until(lambda: {one.target.name for one in bench.results[before:]} == names)
    await bench.scheduler.stop(1.0)
    # By default APScheduler would list every missed wake-up, which blocks the loop.
    assert held.longest < 0.5


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
