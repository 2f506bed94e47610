"""Tests of the detection of clock steps."""

from typing import Any

import pytest

from exporter.scheduling.clock_steps import ClockSteps


@pytest.mark.parametrize("by", [-86_400.0, -1.5, 1.5, 3600.0])
async def test_a_clock_step_is_detected_once(clock: Any, by: float) -> None:
    steps = ClockSteps(clock)
    clock.set_wall_clock(by)
    assert steps.detected()
    assert not steps.detected()


async def test_elapsed_time_is_not_a_step(clock: Any) -> None:
    steps = ClockSteps(clock)
    await clock.advance(86_400.0)
    assert not steps.detected()


async def test_a_slewed_clock_is_not_a_step(clock: Any) -> None:
    steps = ClockSteps(clock)
    for _ in range(100):
        await clock.advance(1.0)
        clock.set_wall_clock(0.1)
        assert not steps.detected()
