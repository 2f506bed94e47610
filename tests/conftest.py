"""Fixtures for all tests."""

import asyncio
import fcntl
import gc
import heapq
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.real.keystone import keystone as keystone  # noqa: PLC0414 - a fixture for all tests

# Durations on a busy machine are meaningless. In CI hypothesis has a profile of its own.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


class FakeClock:
    """A clock that only a test advances.

    ``now`` is the initial Unix time in seconds; the monotonic time starts at 1000.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._start = now
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def time(self) -> float:
        """Return Unix time in seconds."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Return seconds since a fixed point."""
        return 1000.0 + self._elapsed

    def set_wall_clock(self, by: float) -> None:
        """Change the wall clock by ``by`` seconds; the monotonic time stays."""
        self._start += by

    async def sleep(self, seconds: float) -> None:
        """Return when a test has advanced the clock by ``seconds``."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Advance the clock; wake sleepers in order and let each run before the next."""
        await _settle()
        end = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, at)
            if not woken.done():
                woken.set_result(None)
            await _settle()
        self._elapsed = end
        await _settle()


async def _settle() -> None:
    """Run all tasks that do not wait for the clock."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def demo_ports() -> Iterator[None]:
    """Reserve the fixed ports of the demonstration for one test at a time on this machine."""
    with (Path(tempfile.gettempdir()) / "console-exporter-demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run asynchronous tests on uvloop, like the program."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test advances."""
    return FakeClock()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Disable the garbage collector during the test, after one full collection."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
