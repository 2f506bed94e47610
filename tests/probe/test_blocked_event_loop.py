"""A deadline that passes while the event loop is blocked does not count against a console."""

import asyncio
import gc
import time

import pytest

from exporter.model import Stage
from exporter.outcome import Outcome, Verdict
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.probing import SHORT_TIMEOUT, probe_once, probing
from tests.real.silent_ports import closed_port, never_accepting_port


async def block_the_loop(after: float, seconds: float) -> None:
    await asyncio.sleep(after)
    time.sleep(seconds)  # noqa: ASYNC251 - blocks the loop on purpose


@pytest.mark.parametrize(
    ("blocked", "outcome"), [(0.0, Outcome.TIMEOUT), (0.6, Outcome.INTERNAL_ERROR)]
)
@retry_if_machine_stalled
async def test_a_deadline_missed_by_a_blocked_event_loop_is_an_internal_error(
    blocked: float, outcome: Outcome
) -> None:
    with never_accepting_port() as url:
        blocking = asyncio.create_task(block_the_loop(SHORT_TIMEOUT / 2, blocked))
        result = await probe_once(url, timeout=SHORT_TIMEOUT)
        await blocking
    assert (result.outcome, result.failed_stage) == (outcome, Stage.API)
    assert (result.verdict is Verdict.INCONCLUSIVE) == bool(blocked)
    assert ("exporter itself was blocked" in result.detail) == bool(blocked)


async def test_a_failed_probe_leaves_no_reference_cycles() -> None:
    with closed_port() as url:
        async with probing(url) as probe:
            await probe()
            gc.collect()
            for _ in range(10):
                assert (await probe()).outcome is Outcome.CONNECT_ERROR
            unreachable = gc.collect()
    assert unreachable < 10 * 10
