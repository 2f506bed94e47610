"""Tests of the scheduler: start times, missed slots, reloads, probes on demand."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import median

import pytest

from exporter.clock import SystemClock
from exporter.model import Stage
from exporter.outcome import Outcome
from exporter.scheduling.phase_table import phase_of
from tests.real.machine_stalls import STALL_SECONDS, measuring_stalls
from tests.scheduling.fake_prober import INTERVAL, Bench, FakeProber, target


async def test_each_target_is_probed_once_per_interval_in_its_phase(bench: Bench) -> None:
    targets = [target(f"s{number}") for number in range(20)]
    bench.scheduler.reconcile(targets)
    await bench.pass_time(3 * INTERVAL)
    assert len(bench.results) == 3 * len(targets)
    for one in targets:
        starts = [at for name, at in bench.prober.started if name == one.name]
        assert [after - before for before, after in pairwise(starts)] == [
            pytest.approx(INTERVAL)
        ] * 2
        late = (starts[0] - phase_of(one.key, INTERVAL)) % INTERVAL
        assert late <= 0.5 + 1e-6


async def test_a_slot_during_a_running_probe_is_missed_and_records_nothing(
    bench: Bench,
) -> None:
    bench.prober.ends.clear()
    bench.scheduler.reconcile([target("slow")])
    await bench.pass_time(3 * INTERVAL)
    assert bench.missed == 2
    assert bench.results == []
    assert bench.prober.most_running == 1
    bench.prober.ends.set()
    await bench.pass_time(INTERVAL)
    assert bench.outcomes() == [Outcome.SUCCESS, Outcome.SUCCESS]


async def test_a_target_without_a_permit_is_skipped_and_keeps_its_place(
    bench: Bench,
) -> None:
    bench.prober.permits.clear()
    bench.scheduler.reconcile([target("waiting")])
    await bench.pass_time(3 * INTERVAL)
    assert bench.outcomes() == [Outcome.SKIPPED, Outcome.SKIPPED]
    assert bench.missed == 2
    # It requested one permit, due at its first slot.
    assert len(bench.prober.dues) == 1
    bench.prober.permits.set()
    await bench.pass_time(0.5)
    assert bench.outcomes()[-1] is Outcome.SUCCESS


async def test_a_throttled_target_keeps_its_place_until_the_cloud_responds(bench: Bench) -> None:
    bench.prober.outcome = Outcome.THROTTLED
    bench.scheduler.reconcile([target("unlucky")])
    await bench.pass_time(2 * INTERVAL)
    bench.prober.outcome = Outcome.SUCCESS
    await bench.pass_time(2 * INTERVAL)
    first, second, third, fourth = bench.prober.dues
    assert first == second == third
    assert fourth == pytest.approx(first + 3 * INTERVAL)


async def test_a_target_whose_console_throttles_does_not_keep_its_place(bench: Bench) -> None:
    bench.prober.outcome, bench.prober.failed_stage = Outcome.THROTTLED, Stage.PAGE
    bench.scheduler.reconcile([target("unlucky")])
    await bench.pass_time(2 * INTERVAL)
    first, second = bench.prober.dues
    assert second == pytest.approx(first + INTERVAL)


async def test_a_removed_target_stops_at_once_and_its_result_is_dropped(bench: Bench) -> None:
    bench.prober.ends.clear()
    bench.scheduler.reconcile([target("going"), target("staying")])
    await bench.pass_time(INTERVAL)
    bench.scheduler.reconcile([target("staying")])
    bench.prober.ends.set()
    await bench.pass_time(2 * INTERVAL)
    assert {result.target.name for result in bench.results} == {"staying"}


async def test_a_reload_keeps_all_phases(bench: Bench) -> None:
    targets = [target(f"s{number}") for number in range(10)]
    bench.scheduler.reconcile(targets)
    await bench.pass_time(INTERVAL)
    bench.scheduler.reconcile([*targets, target("new")])
    await bench.pass_time(INTERVAL)
    for one in targets:
        starts = [at for name, at in bench.prober.started if name == one.name]
        assert starts[1] - starts[0] == pytest.approx(INTERVAL)


async def test_a_changed_interval_takes_effect(bench: Bench) -> None:
    bench.scheduler.reconcile([target("s", interval=20.0)])
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(3 * INTERVAL)
    assert len(bench.results) == 3


async def test_waiting_targets_of_a_rebuilt_project_use_its_new_throttle(
    bench: Bench,
) -> None:
    bench.prober.permits.clear()
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(INTERVAL)
    old, bench.prober = bench.prober, FakeProber(bench.clock)
    bench.scheduler.reconcile([target("s")], rebuilt=["southwest"])
    await bench.pass_time(0.5)
    assert bench.outcomes() == [Outcome.SUCCESS]
    assert bench.prober.dues == old.dues


async def test_an_unexpected_error_is_recorded_and_probing_continues(bench: Bench) -> None:
    bench.prober.error = ZeroDivisionError()
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(INTERVAL)
    bench.prober.error = None
    await bench.pass_time(INTERVAL)
    assert bench.outcomes() == [Outcome.INTERNAL_ERROR, Outcome.SUCCESS]


async def test_targets_without_a_probe_for_two_intervals_are_overdue(bench: Bench) -> None:
    bench.prober.permits.clear()
    bench.scheduler.reconcile([target("a"), target("b")])
    await bench.pass_time(2 * INTERVAL)
    assert bench.scheduler.overdue == 0
    await bench.pass_time(2 * INTERVAL)
    assert bench.scheduler.overdue == 2
    bench.prober.permits.set()
    await bench.pass_time(0.5)
    assert bench.scheduler.overdue == 0


async def test_lateness_is_the_start_minus_the_slot(bench: Bench) -> None:
    bench.scheduler.reconcile([target("s")])
    phase = phase_of(target("s").key, INTERVAL)
    to_slot = (phase - bench.clock.time()) % INTERVAL
    await bench.clock.advance(to_slot + 0.25)
    bench.scheduler.serve_slots(INTERVAL)
    assert bench.lateness == [pytest.approx(0.25, abs=1e-3)]


async def test_a_missed_slot_has_no_lateness(bench: Bench) -> None:
    bench.prober.ends.clear()
    bench.scheduler.reconcile([target("slow")])
    await bench.pass_time(3 * INTERVAL)
    assert bench.missed == 2
    assert len(bench.lateness) == 1


async def test_stop_waits_for_a_running_probe_and_starts_no_other(bench: Bench) -> None:
    bench.prober.ends.clear()
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(INTERVAL)
    stopping = asyncio.create_task(bench.scheduler.stop(grace=5))
    await bench.clock.advance(0)
    assert not stopping.done()
    bench.prober.ends.set()
    await stopping
    assert bench.outcomes() == [Outcome.SUCCESS]


async def test_stop_cancels_probes_after_the_grace_period(bench: Bench) -> None:
    bench.prober.ends.clear()
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(INTERVAL)
    await bench.scheduler.stop(grace=0.05)
    assert bench.prober.running == 0
    assert bench.results == []


async def test_a_probe_on_demand_waits_for_a_running_scheduled_one(bench: Bench) -> None:
    bench.prober.ends.clear()
    one = target("s")
    bench.scheduler.reconcile([one])
    await bench.pass_time(INTERVAL)
    pending = asyncio.create_task(bench.on_demand.probe_now(one, max_seconds=5))
    await bench.clock.advance(0)
    assert bench.prober.running == 1
    bench.prober.ends.set()
    assert (await pending).outcome is Outcome.SUCCESS
    assert bench.prober.most_running == 1
    # The probe on demand is not recorded.
    assert len(bench.results) == 1


async def test_a_probe_on_demand_without_a_permit_is_skipped(bench: Bench) -> None:
    bench.prober.permits.clear()
    result = await bench.on_demand.probe_now(target("s"), max_seconds=0.05)
    assert result.outcome is Outcome.SKIPPED


async def test_the_deadline_of_a_probe_on_demand_limits_its_timeout(bench: Bench) -> None:
    await bench.on_demand.probe_now(replace(target("s"), timeout=60.0), max_seconds=2.0)
    assert bench.prober.limits == [pytest.approx(2.0)]


@pytest.mark.parametrize(("seconds", "limit"), [(9.5, 9.0), (10.5, 9.5), (11.0, 10.0), (60, 10.0)])
async def test_a_probe_on_demand_leaves_time_for_a_control_request(
    bench: Bench, seconds: float, limit: float
) -> None:
    # 90% of the timeout is still evidence.
    await bench.on_demand.probe_now(replace(target("s"), timeout=10.0), max_seconds=seconds)
    assert bench.prober.limits == [pytest.approx(limit)]


async def test_a_probe_on_demand_ends_at_its_deadline_even_while_waiting(
    bench: Bench,
) -> None:
    one = target("s")
    bench.scheduler.reconcile([one])
    # As if a login waited for the end of a cool-down.
    bench.prober.ends.clear()
    result = await bench.on_demand.probe_now(one, max_seconds=0.05)
    assert result.outcome is Outcome.SKIPPED
    assert bench.prober.running == 0
    # Scheduled probes continue.
    bench.prober.ends.set()
    await bench.pass_time(INTERVAL)
    assert bench.outcomes() == [Outcome.SUCCESS]


async def test_stop_waits_for_a_probe_on_demand(bench: Bench) -> None:
    bench.prober.ends.clear()
    pending = asyncio.create_task(bench.on_demand.probe_now(target("s"), max_seconds=5))
    await bench.clock.advance(0)
    stopping = asyncio.create_task(bench.on_demand.stop(grace=5))
    await bench.clock.advance(0)
    assert not stopping.done()
    bench.prober.ends.set()
    await stopping
    assert (await pending).outcome is Outcome.SUCCESS


async def test_a_probe_on_demand_cancelled_by_stop_is_skipped(
    bench: Bench,
) -> None:
    bench.prober.ends.clear()
    pending = asyncio.create_task(bench.on_demand.probe_now(target("s"), max_seconds=5))
    await bench.clock.advance(0)
    await bench.on_demand.stop(grace=0.05)
    results = [await pending, await bench.on_demand.probe_now(target("s"), max_seconds=5)]
    assert [result.outcome for result in results] == [Outcome.SKIPPED] * 2
    assert [result.detail for result in results] == ["the exporter is shutting down"] * 2


async def test_cancelling_the_caller_cancels_the_probe_on_demand(bench: Bench) -> None:
    bench.prober.ends.clear()
    pending = asyncio.create_task(bench.on_demand.probe_now(target("s"), max_seconds=5))
    await bench.clock.advance(0)
    assert bench.prober.running == 1
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    assert bench.prober.running == 0


@pytest.mark.parametrize(
    ("max_seconds", "outcome"), [(2.0, Outcome.SKIPPED), (60.0, Outcome.TIMEOUT)]
)
async def test_a_timeout_after_a_short_deadline_is_no_evidence(
    bench: Bench, max_seconds: float, outcome: Outcome
) -> None:
    bench.prober.outcome = Outcome.TIMEOUT
    result = await bench.on_demand.probe_now(target("s"), max_seconds)
    assert result.outcome is outcome


async def test_phases_are_kept_in_real_time() -> None:
    clock = SystemClock()
    bench = Bench(clock, FakeProber(clock))
    targets = [target(f"s{number}", interval=1.0) for number in range(50)]
    bench.scheduler.reconcile(targets)
    with measuring_stalls() as stalls:
        bench.scheduler.start()
        await _until(lambda: len(bench.results) >= 200, timeout=30.0)
        await bench.scheduler.stop(1.0)
    assert bench.missed == 0 or stalls.longest > STALL_SECONDS
    for one in targets:
        starts = [at for name, at in bench.prober.started if name == one.name]
        offsets = [(at - phase_of(one.key, 1.0)) % 1.0 for at in starts]
        # A generous limit for busy machines; drift would grow far beyond it.
        assert median(offsets) < 0.5
        assert len(starts) >= 3


async def _until(condition: Callable[[], bool], timeout: float) -> None:  # noqa: ASYNC109
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


async def test_changing_some_targets_keeps_the_phases_of_the_others(bench: Bench) -> None:
    bench.scheduler.reconcile([target("stays"), target("goes"), target("slower", 30.0)])
    bench.scheduler.change([target("comes"), target("slower")], [target("goes").key])
    await bench.pass_time(2 * INTERVAL)
    assert sorted({name for name, _ in bench.prober.started}) == ["comes", "slower", "stays"]
    for name in ("stays", "comes", "slower"):
        (first, second) = [at for started, at in bench.prober.started if started == name]
        assert second - first == pytest.approx(INTERVAL)
        assert first % INTERVAL == pytest.approx(phase_of(target(name).key, INTERVAL), abs=0.6)


async def test_an_interval_that_is_removed_and_added_again_is_served() -> None:
    bench = Bench(SystemClock(), FakeProber(SystemClock()))
    quick = target("quick", 1.0)
    bench.scheduler.start()
    try:
        bench.scheduler.change([quick], [])
        bench.scheduler.change([], [quick.key])
        bench.scheduler.change([quick], [])
        for _ in range(300):
            if bench.prober.started:
                break
            await asyncio.sleep(0.01)
        assert bench.prober.started
    finally:
        await bench.scheduler.stop(0)
