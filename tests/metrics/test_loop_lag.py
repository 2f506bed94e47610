"""Event-loop lag is measured with a fake clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from exporter.clock import Clock
from exporter.metrics.loop_lag import LoopLag


class FakeClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


class BusyLoopClock:
    """A clock whose sleeps return late, as on a blocked event loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self.late_by = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late_by
        self.late_by = 0.0
        await asyncio.sleep(0)


@asynccontextmanager
async def running(lag: LoopLag) -> AsyncIterator[None]:
    task = asyncio.create_task(lag.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def pass_seconds(clock: BusyLoopClock, seconds: float) -> None:
    end = clock.now + seconds
    while clock.now < end:  # noqa: ASYNC110 - waits for iterations of the loop, not for an event
        await asyncio.sleep(0)


def test_lag_is_unknown_before_the_first_measurement() -> None:
    assert LoopLag(BusyLoopClock()).worst() is None


async def test_loop_without_delays_has_no_lag(clock: FakeClock) -> None:
    lag = LoopLag(clock)
    async with running(lag):
        await clock.advance(10)
        assert lag.worst() == 0


async def test_worst_is_the_maximum_of_the_last_minute() -> None:
    clock = BusyLoopClock()
    lag = LoopLag(clock)
    async with running(lag):
        await pass_seconds(clock, 1)
        clock.late_by = 0.75
        await pass_seconds(clock, 10)
        clock.late_by = 0.5
        await pass_seconds(clock, 45)
        assert lag.worst() == 0.75
        await pass_seconds(clock, 10)
        assert lag.worst() == 0.5
        await pass_seconds(clock, 10)
        assert lag.worst() == 0


async def test_higher_lag_replaces_lower_ones_before_it() -> None:
    clock = BusyLoopClock()
    lag = LoopLag(clock)
    async with running(lag):
        for late in (0.25, 0.5, 1.0):
            clock.late_by = late
            await pass_seconds(clock, 5)
        assert lag.worst() == 1.0
