"""The scheduler: who is started when, what happens to slots that come too soon, and reloads."""

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
from tests.real.standstill import STALL_SECONDS, measuring_stalls
from tests.scheduling.bench import INTERVAL, Bench, FakeProber, target


async def test_each_target_is_probed_once_an_interval_in_its_phase(bench: Bench) -> None:
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


async def test_a_slot_that_comes_while_the_probe_runs_is_missed_and_nothing_is_recorded(
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


async def test_a_target_whose_turn_does_not_come_is_skipped_and_keeps_its_place(
    bench: Bench,
) -> None:
    bench.prober.permits.clear()
    bench.scheduler.reconcile([target("waiting")])
    await bench.pass_time(3 * INTERVAL)
    assert bench.outcomes() == [Outcome.SKIPPED, Outcome.SKIPPED]
    assert bench.missed == 2
    # It asked for a turn once, with its first slot as due time.
    assert len(bench.prober.dues) == 1
    bench.prober.permits.set()
    await bench.pass_time(0.5)
    assert bench.outcomes()[-1] is Outcome.SUCCESS


async def test_a_throttled_target_keeps_its_seniority_until_it_is_answered(bench: Bench) -> None:
    bench.prober.outcome = Outcome.THROTTLED
    bench.scheduler.reconcile([target("unlucky")])
    await bench.pass_time(2 * INTERVAL)
    bench.prober.outcome = Outcome.SUCCESS
    await bench.pass_time(2 * INTERVAL)
    first, second, third, fourth = bench.prober.dues
    assert first == second == third
    assert fourth == pytest.approx(first + 3 * INTERVAL)


async def test_a_target_whose_console_throttles_is_no_older_than_others(bench: Bench) -> None:
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


async def test_a_reload_moves_nobody(bench: Bench) -> None:
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


async def test_waiting_targets_of_a_rebuilt_project_go_over_to_its_new_throttle(
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


async def test_a_fault_of_ours_is_recorded_as_such_and_the_next_slot_comes(bench: Bench) -> None:
    bench.prober.fault = ZeroDivisionError()
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(INTERVAL)
    bench.prober.fault = None
    await bench.pass_time(INTERVAL)
    assert bench.outcomes() == [Outcome.INTERNAL_ERROR, Outcome.SUCCESS]


async def test_targets_not_attempted_for_two_intervals_are_overdue(bench: Bench) -> None:
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


async def test_a_slot_in_which_nothing_starts_has_no_lateness(bench: Bench) -> None:
    bench.prober.ends.clear()
    bench.scheduler.reconcile([target("slow")])
    await bench.pass_time(3 * INTERVAL)
    assert bench.missed == 2
    assert len(bench.lateness) == 1


async def test_stop_lets_a_running_probe_end_and_starts_no_other(bench: Bench) -> None:
    bench.prober.ends.clear()
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(INTERVAL)
    stopping = asyncio.create_task(bench.scheduler.stop(grace=5))
    await bench.clock.advance(0)
    assert not stopping.done()
    bench.prober.ends.set()
    await stopping
    assert bench.outcomes() == [Outcome.SUCCESS]


async def test_stop_cancels_what_does_not_end_in_time(bench: Bench) -> None:
    bench.prober.ends.clear()
    bench.scheduler.reconcile([target("s")])
    await bench.pass_time(INTERVAL)
    await bench.scheduler.stop(grace=0.05)
    assert bench.prober.running == 0
    assert bench.results == []


async def test_a_probe_on_demand_waits_for_the_scheduled_one_on_the_wire(bench: Bench) -> None:
    bench.prober.ends.clear()
    one = target("s")
    bench.scheduler.reconcile([one])
    await bench.pass_time(INTERVAL)
    asked = asyncio.create_task(bench.scheduler.probe_now(one, max_seconds=5))
    await bench.clock.advance(0)
    assert bench.prober.running == 1
    bench.prober.ends.set()
    assert (await asked).outcome is Outcome.SUCCESS
    assert bench.prober.most_running == 1
    # It is not recorded: it may have gone another depth, and answers who asked.
    assert len(bench.results) == 1


async def test_a_probe_on_demand_gives_up_when_its_turn_does_not_come(bench: Bench) -> None:
    bench.prober.permits.clear()
    result = await bench.scheduler.probe_now(target("s"), max_seconds=0.05)
    assert result.outcome is Outcome.SKIPPED


async def test_a_probe_on_demand_has_no_more_time_than_it_is_given(bench: Bench) -> None:
    result = await bench.scheduler.probe_now(replace(target("s"), timeout=60.0), max_seconds=2.0)
    assert result.target.timeout == pytest.approx(2.0)


async def test_a_probe_on_demand_ends_with_the_asker_s_patience_whatever_it_waits_for(
    bench: Bench,
) -> None:
    one = target("s")
    bench.scheduler.reconcile([one])
    # As where a log-in in between waits for the end of a cool-down.
    bench.prober.ends.clear()
    result = await bench.scheduler.probe_now(one, max_seconds=0.05)
    assert result.outcome is Outcome.SKIPPED
    assert bench.prober.running == 0
    # It holds up no other.
    bench.prober.ends.set()
    await bench.pass_time(INTERVAL)
    assert bench.outcomes() == [Outcome.SUCCESS]


async def test_stop_lets_a_probe_on_demand_end_too(bench: Bench) -> None:
    bench.prober.ends.clear()
    asked = asyncio.create_task(bench.scheduler.probe_now(target("s"), max_seconds=5))
    await bench.clock.advance(0)
    stopping = asyncio.create_task(bench.scheduler.stop(grace=5))
    await bench.clock.advance(0)
    assert not stopping.done()
    bench.prober.ends.set()
    await stopping
    assert (await asked).outcome is Outcome.SUCCESS


async def test_a_probe_on_demand_that_stop_cuts_off_says_nothing_of_the_console(
    bench: Bench,
) -> None:
    bench.prober.ends.clear()
    asked = asyncio.create_task(bench.scheduler.probe_now(target("s"), max_seconds=5))
    await bench.clock.advance(0)
    await bench.scheduler.stop(grace=0.05)
    results = [await asked, await bench.scheduler.probe_now(target("s"), max_seconds=5)]
    assert [result.outcome for result in results] == [Outcome.SKIPPED] * 2
    assert [result.detail for result in results] == ["the exporter is shutting down"] * 2


async def test_who_leaves_takes_the_probe_on_demand_along(bench: Bench) -> None:
    bench.prober.ends.clear()
    asked = asyncio.create_task(bench.scheduler.probe_now(target("s"), max_seconds=5))
    await bench.clock.advance(0)
    assert bench.prober.running == 1
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert bench.prober.running == 0


@pytest.mark.parametrize(("patience", "outcome"), [(2.0, Outcome.SKIPPED), (60.0, Outcome.TIMEOUT)])
async def test_a_short_patience_is_no_evidence_against_a_console(
    bench: Bench, patience: float, outcome: Outcome
) -> None:
    bench.prober.outcome = Outcome.TIMEOUT
    result = await bench.scheduler.probe_now(target("s"), patience)
    assert result.outcome is outcome


async def test_apscheduler_keeps_the_phases_in_real_time() -> None:
    clock = SystemClock()
    bench = Bench(clock, FakeProber(clock))
    targets = [target(f"s{number}", interval=1.0) for number in range(50)]
    bench.scheduler.reconcile(targets)
    with measuring_stalls() as stood:
        bench.scheduler.start()
        await _until(lambda: len(bench.results) >= 200, timeout=30.0)
        await bench.scheduler.stop(1.0)
    assert bench.missed == 0 or stood.longest > STALL_SECONDS
    for one in targets:
        starts = [at for name, at in bench.prober.started if name == one.name]
        offsets = [(at - phase_of(one.key, 1.0)) % 1.0 for at in starts]
        # Generous: machines under test are busy. Drift would grow far beyond it.
        assert median(offsets) < 0.5
        assert len(starts) >= 3


async def _until(condition: Callable[[], bool], timeout: float) -> None:  # noqa: ASYNC109
    give_up = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        await asyncio.sleep(0.02)


async def test_a_part_of_the_targets_changes_and_the_rest_keeps_its_phase(bench: Bench) -> None:
    bench.scheduler.reconcile([target("stays"), target("goes"), target("slower", 30.0)])
    bench.scheduler.change([target("comes"), target("slower")], [target("goes").key])
    await bench.pass_time(2 * INTERVAL)
    assert sorted({name for name, _ in bench.prober.started}) == ["comes", "slower", "stays"]
    for name in ("stays", "comes", "slower"):
        (first, second) = [at for started, at in bench.prober.started if started == name]
        assert second - first == pytest.approx(INTERVAL)
        assert first % INTERVAL == pytest.approx(phase_of(target(name).key, INTERVAL), abs=0.6)


async def test_an_interval_that_nobody_has_any_more_and_then_has_again_is_served() -> None:
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
