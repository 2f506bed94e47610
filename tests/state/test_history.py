"""Tests of packed results: they are restored exactly and take few bytes."""

import gc
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import ProbeResult, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome
from exporter.state.history import DamagedHistoryError, History
from tests.state.results import RESULTS, TARGET

OTHER = replace(TARGET, name="db-02")


def history_of(target: Target, results: Iterable[ProbeResult], length: int) -> History:
    history = History(target)
    for result in results:
        history.append(result, length)
    return history


@given(RESULTS)
def test_any_result_is_restored_exactly(result: ProbeResult) -> None:
    (restored,) = history_of(TARGET, [result], 1)
    assert restored == result
    assert type(restored.outcome) is Outcome


@given(st.lists(RESULTS, max_size=40), st.integers(1, 20))
def test_the_newest_results_are_kept_in_order(results: list[ProbeResult], length: int) -> None:
    history = history_of(TARGET, results, length)
    assert list(history) == results[-length:]
    assert len(history) == min(length, len(results))


@given(st.lists(RESULTS, max_size=20), st.integers(1, 20))
def test_a_shorter_history_keeps_the_newest(results: list[ProbeResult], length: int) -> None:
    history = history_of(TARGET, results, 20)
    history.shorten(length)
    assert list(history) == results[-length:]


@given(st.lists(RESULTS, max_size=20))
def test_a_packed_history_is_unpacked(results: list[ProbeResult]) -> None:
    history = history_of(TARGET, results, 20)
    again = History.unpacked(TARGET, *history.packed)
    assert list(again) == results
    assert len(again) == len(results)


@given(st.lists(RESULTS, max_size=5), st.binary(max_size=100))
def test_damaged_bytes_are_detected_or_read_as_results(
    results: list[ProbeResult], damage: bytes
) -> None:
    templates, data = history_of(TARGET, results, 5).packed
    try:
        history = History.unpacked(TARGET, templates, data[: len(damage)] + damage)
    except DamagedHistoryError:
        return
    assert len(list(history)) == len(history)


def test_times_have_millisecond_and_durations_microsecond_resolution() -> None:
    stages = (StageTiming(Stage.API, 0.123_456_789, passed=True),)
    result = ProbeResult(TARGET, 1.8e9 + 0.123_456, Outcome.SUCCESS, stages=stages)
    (restored,) = history_of(TARGET, [replace(result, waited_seconds=1e9)], 1)
    assert restored.started_at == 1.8e9 + 0.123
    assert restored.stages[0].seconds == 0.123_457
    assert restored.waited_seconds == pytest.approx(71.6 * 60, rel=0.01)


def test_a_long_request_id_is_cut() -> None:
    result = ProbeResult(TARGET, 1.8e9, Outcome.SUCCESS, request_id="🖥" * 100_000)
    (restored,) = history_of(TARGET, [result], 1)
    assert restored.request_id == "🖥" * 16_000


def test_results_refer_to_the_current_target() -> None:
    history = history_of(TARGET, [ProbeResult(TARGET, 1.8e9, Outcome.SUCCESS)], 1)
    history.target = OTHER
    assert [result.target for result in history] == [OTHER]


def test_unused_templates_are_dropped() -> None:
    history = History(TARGET)
    for number in range(1000):
        detail = f"at {number} " + "x" * 100
        history.append(ProbeResult(TARGET, number, Outcome.TIMEOUT, detail=detail), 10)
    templates, _ = history.packed
    assert len(templates) <= 10


def test_fifty_results_take_at_most_1600_bytes() -> None:
    servers = 200
    targets = [replace(TARGET, key=TargetKey("southwest", f"id-{n}")) for n in range(servers)]
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        histories = [filled(target, 60) for target in targets]
        gc.collect()
        size = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(histories[0]) == 50
    assert size / servers < 1600


def filled(target: Target, results: int) -> History:
    history = History(target)
    for number in range(results):
        passed = number % 7 != 0
        result = ProbeResult(
            target,
            1.8e9 + 60.001 * number,
            Outcome.SUCCESS if passed else Outcome.TIMEOUT,
            None if passed else Stage.API,
            request_id=f"{number * 7919:032x}",
            stages=(StageTiming(Stage.API, 0.1 + number / 1e5, passed),),
            detail="" if passed else "no answer in time",
        )
        history.append(result, 50)
    return history
