"""The event loop's lag, by a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from exporter.clock import Clock
from exporter.metrics.loop_lag import LoopLag


class MovedClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


class BusyLoopClock:
    """A clock whose sleeps return late by what the test says, as on a loop that was held."""

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
    while clock.now < end:  # noqa: ASYNC110 - it is the loop's turns that are waited for
        await asyncio.sleep(0)


def test_nothing_is_known_before_the_first_measure() -> None:
    assert LoopLag(BusyLoopClock()).worst() is None


async def test_a_loop_that_keeps_up_has_no_lag(clock: MovedClock) -> None:
    lag = LoopLag(clock)
    async with running(lag):
        await clock.advance(10)
        assert lag.worst() == 0


async def test_the_worst_of_the_last_minute_is_told_and_then_forgotten() -> None:
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


async def test_a_worse_lag_replaces_lesser_ones_before_it() -> None:
    clock = BusyLoopClock()
    lag = LoopLag(clock)
    async with running(lag):
        for late in (0.25, 0.5, 1.0):
            clock.late_by = late
            await pass_seconds(clock, 5)
        assert lag.worst() == 1.0
