"""Fixtures for tests of the scheduler."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.scheduling.fake_prober import Bench, FakeProber


@pytest.fixture
async def bench(clock: Any) -> AsyncIterator[Bench]:
    bench = Bench(clock, FakeProber(clock))
    yield bench
    await bench.scheduler.stop(0)
