"""A deadline that passes while the exporter itself is held up is no evidence against a console."""

import asyncio
import gc
import time

import pytest

from exporter.model import Stage
from exporter.outcome import Outcome, Verdict
from tests.real.probing import SHORT, probe_once, probing
from tests.real.silent_ports import closed_port, never_accepting_port
from tests.real.standstill import unless_the_machine_stood_still


async def hold_the_loop(after: float, seconds: float) -> None:
    await asyncio.sleep(after)
    time.sleep(seconds)  # noqa: ASYNC251 - that is the point


@pytest.mark.parametrize(
    ("held", "outcome"), [(0.0, Outcome.TIMEOUT), (0.6, Outcome.INTERNAL_ERROR)]
)
@unless_the_machine_stood_still
async def test_only_a_deadline_that_was_watched_is_a_timeout(held: float, outcome: Outcome) -> None:
    with never_accepting_port() as url:
        holding = asyncio.create_task(hold_the_loop(SHORT / 2, held))
        result = await probe_once(url, timeout=SHORT)
        await holding
    assert (result.outcome, result.failed_stage) == (outcome, Stage.API)
    assert (result.verdict is Verdict.INCONCLUSIVE) == bool(held)
    assert ("held up itself" in result.detail) == bool(held)


async def test_a_failed_probe_leaves_no_garbage_in_circles() -> None:
    with closed_port() as url:
        async with probing(url) as probe:
            await probe()
            gc.collect()
            for _ in range(10):
                assert (await probe()).outcome is Outcome.CONNECT_ERROR
            left = gc.collect()
    assert left < 10 * 10
