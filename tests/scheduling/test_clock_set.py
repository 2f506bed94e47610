"""A wall clock that is set: probes go on, no storm follows, and nobody waits for it to catch up."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any, Self

import apscheduler.schedulers.base
import pytest

from exporter.clock import SystemClock
from exporter.outcome import Outcome
from tests.hostile.loop_hold import watching_the_loop
from tests.scheduling.bench import INTERVAL, Bench, FakeProber, target

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
JUMPS = [-20 * YEAR, -DAY, -HOUR, -INTERVAL - 3, -4.0, 4.0, INTERVAL + 3, HOUR, DAY, 20 * YEAR]


@pytest.mark.parametrize("jump", JUMPS)
async def test_every_target_is_probed_again_within_two_intervals_and_without_a_storm(
    bench: Bench, jump: float
) -> None:
    names = [f"s{number}" for number in range(100)]
    bench.scheduler.reconcile([target(name) for name in names])
    await bench.pass_time(2 * INTERVAL)
    before = len(bench.prober.started)
    bench.clock.set_wall_clock(jump)
    per_step = []
    for _ in range(round(2 * INTERVAL / 0.5)):
        seen = len(bench.prober.started)
        await bench.pass_time(0.5)
        per_step.append(len(bench.prober.started) - seen)
    after = bench.prober.started[before:]
    assert {name for name, _ in after} == set(names)
    # As even as ever: half a second of ten is a twentieth of all.
    assert max(per_step) <= 20
    assert all(
        started == pytest.approx(bench.clock.time(), abs=2 * INTERVAL) for _, started in after
    )


@pytest.mark.parametrize(
    ("jump", "missed"), [(-DAY, 0), (-3.0, 0), (HOUR, 360), (DAY, 8640), (20 * YEAR, 8640)]
)
async def test_what_a_clock_skipped_is_counted_as_missed_a_day_of_it_at_most(
    bench: Bench, jump: float, missed: int
) -> None:
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(INTERVAL)
    bench.clock.set_wall_clock(jump)
    await bench.pass_time(3 * INTERVAL)
    assert bench.missed == missed
    # Lateness is never that of the clock.
    assert all(0 <= late <= 0.5 for late in bench.lateness)


@pytest.mark.parametrize("jump", JUMPS)
async def test_who_is_overdue_is_told_by_time_that_passed(bench: Bench, jump: float) -> None:
    bench.scheduler.reconcile([target("a"), target("b")])
    await bench.pass_time(INTERVAL)
    bench.clock.set_wall_clock(jump)
    await bench.pass_time(2 * INTERVAL)
    assert bench.scheduler.overdue == 0
    bench.prober.permits.clear()
    await bench.pass_time(4 * INTERVAL)
    assert bench.scheduler.overdue == 2


async def test_a_clock_set_back_takes_nobodys_place_in_the_queue(bench: Bench) -> None:
    bench.prober.outcome = Outcome.THROTTLED
    bench.scheduler.reconcile([target("unlucky")])
    await bench.pass_time(INTERVAL)
    bench.clock.set_wall_clock(-DAY)
    bench.scheduler.reconcile([target("unlucky"), target("newcomer")])
    await bench.pass_time(2 * INTERVAL)
    # Due times are what the throttle goes by: who waited before comes before.
    assert bench.prober.dues[0] < min(
        due for due in bench.prober.dues if due != bench.prober.dues[0]
    )


class Skewed(SystemClock):
    """The machine's clock, with a wall clock that can be set."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


@pytest.fixture
def skewed(monkeypatch: pytest.MonkeyPatch) -> Skewed:
    """Return a clock that APScheduler goes by, too."""
    clock = Skewed()

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(clock.time(), tz)

    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Now)
    return clock


@pytest.mark.parametrize("jump", [-HOUR, DAY, 10 * YEAR])
async def test_apscheduler_wakes_us_again_at_once_however_the_clock_is_set(
    skewed: Any, jump: float
) -> None:
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
    # APScheduler would have listed every missed wake-up, for seconds or for ever.
    assert held.longest < 0.5


async def _until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        await asyncio.sleep(0.01)
