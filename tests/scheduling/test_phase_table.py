"""Tests of the phase table: fixed phases, no drift, no lost or repeated slot."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import TargetKey
from exporter.scheduling.phase_table import GRID_SECONDS, PhaseTable, phase_of

NOW = 1_800_000_000.0


def keys(count: int) -> list[TargetKey]:
    return [TargetKey("southwest", f"server-{number}") for number in range(count)]


def test_a_phase_is_the_same_in_every_process() -> None:
    assert phase_of(TargetKey("southwest", "db-01"), 60.0) == phase_of(
        TargetKey("southwest", "db-01"), 60.0
    )
    # A changed hash would move every server of every installation.
    assert round(phase_of(TargetKey("southwest", "db-01"), 60.0), 2) == 6.42


def test_phases_spread_the_load_evenly() -> None:
    per_second = Counter(int(phase_of(key, 60.0)) for key in keys(6000))
    assert set(per_second) == set(range(60))
    assert max(per_second.values()) < 2 * 100


def test_every_target_is_due_exactly_once_per_interval() -> None:
    phase_table = PhaseTable(10.0, NOW)
    for key in keys(50):
        phase_table.add(key, NOW)
    slots: dict[TargetKey, list[float]] = {}
    now = NOW
    while now < NOW + 100:
        now = phase_table.next_after(now) or now
        for due in phase_table.take(now):
            slots.setdefault(due.key, []).append(due.at)
    assert len(slots) == 50
    for times in slots.values():
        gaps = [after - before for before, after in pairwise(times)]
        assert all(abs(gap - 10.0) < 1e-6 for gap in gaps)


@pytest.mark.parametrize("interval", [10.0, 61.7, 3600.3])
def test_wake_ups_an_interval_apart_miss_nothing(interval: float) -> None:
    phase_table = PhaseTable(interval, NOW)
    phase_table.add(keys(1)[0], NOW)
    now = NOW
    for _ in range(1000):
        now = phase_table.next_after(now) or now
        assert [due.missed for due in phase_table.take(now)] == [0]


def test_a_late_wake_up_serves_each_target_once_and_counts_missed_slots() -> None:
    phase_table = PhaseTable(10.0, NOW)
    for key in keys(20):
        phase_table.add(key, NOW)
    due = list(phase_table.take(NOW + 35.0))
    assert Counter(one.key for one in due) == Counter(keys(20))
    assert all(NOW + 25.0 < one.at <= NOW + 35.0 for one in due)
    assert {one.missed for one in due} <= {2, 3}
    slots = sum(one.missed + 1 for one in due)
    expected = sum(
        1
        for key in keys(20)
        for cycle in range(5)
        if 0 < cycle * 10.0 + phase_of(key, 10.0) - NOW % 10.0 <= 35.0
    )
    assert slots == expected


def test_a_clock_set_back_by_less_than_an_interval_serves_no_slot_twice() -> None:
    phase_table = PhaseTable(10.0, NOW)
    for key in keys(20):
        phase_table.add(key, NOW)
    assert len(list(phase_table.take(NOW + 10.0))) == 20
    assert phase_table.restart(NOW + 5.0) == 0
    assert list(phase_table.take(NOW + 9.0)) == []
    assert len(list(phase_table.take(NOW + 20.0))) == 20


def test_a_clock_set_back_by_more_than_an_interval_restarts_from_there() -> None:
    phase_table = PhaseTable(10.0, NOW)
    for key in keys(20):
        phase_table.add(key, NOW)
    assert phase_table.restart(NOW - 3600.0) == 0
    assert len(list(phase_table.take(NOW - 3590.0))) == 20


def test_a_clock_set_forward_skips_slots_and_counts_them() -> None:
    phase_table = PhaseTable(10.0, NOW)
    for key in keys(20):
        phase_table.add(key, NOW)
    assert phase_table.restart(NOW + 3600.0) == 20 * 360
    assert list(phase_table.take(NOW + 3600.0)) == []
    assert len(list(phase_table.take(NOW + 3610.0))) == 20


def test_a_clock_that_was_years_behind_counts_a_day_of_missed_slots() -> None:
    phase_table = PhaseTable(10.0, NOW)
    phase_table.add(keys(1)[0], NOW)
    assert phase_table.restart(NOW + 20 * 365 * 86_400.0) == 8640


def test_a_removed_target_is_not_due_again() -> None:
    phase_table = PhaseTable(10.0, NOW)
    first, second = keys(2)
    phase_table.add(first, NOW)
    phase_table.add(second, NOW)
    phase_table.remove(first)
    assert [due.key for due in phase_table.take(NOW + 10.0)] == [second]
    phase_table.remove(second)
    assert not phase_table
    assert phase_table.next_after(NOW) is None


def test_a_target_is_not_due_for_slots_before_it_was_added() -> None:
    early, *late = keys(200)
    phase_table = PhaseTable(3600.0, NOW)
    phase_table.add(early, NOW)
    added_at = NOW + 1800.0
    for key in late:
        phase_table.add(key, added_at)

    due = list(phase_table.take(NOW + 3600.0))

    assert {one.key for one in due} >= {early}
    assert all(one.at > added_at and one.missed == 0 for one in due if one.key != early)
    # In the next interval every target is due once.
    assert Counter(one.key for one in phase_table.take(NOW + 7200.0)) == Counter(keys(200))


@given(
    interval=st.floats(1.0, 86_400.0),
    start=st.floats(1.0e9, 4.0e9),
    steps=st.lists(st.floats(0.001, 200.0), min_size=1, max_size=30),
    count=st.integers(1, 30),
)
def test_no_slot_is_lost_or_served_twice_at_any_wake_up_times(
    interval: float, start: float, steps: list[float], count: int
) -> None:
    phase_table = PhaseTable(interval, start)
    for key in keys(count):
        phase_table.add(key, start)
    served: Counter[TargetKey] = Counter()
    now = start
    for step in steps:
        now += step
        for due in phase_table.take(now):
            assert start - GRID_SECONDS < due.at <= now
            served[due.key] += 1 + due.missed
    for key in keys(count):
        # Rounding may add or remove one slot at the start and the end.
        assert abs(served[key] - (now - start) / interval) <= 1 + 1e-6
