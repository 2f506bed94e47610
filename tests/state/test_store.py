"""Tests of the state store: effects of results and of new target sets."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import ProbeResult, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome, Verdict
from exporter.state import StateStore, TargetState

KEY = TargetKey("southwest", "id-1")
TARGET = Target(KEY, "db-01", "cn-southwest-2", interval=60.0, timeout=10.0)


def result(outcome: Outcome, at: float = 100.0, target: Target = TARGET) -> ProbeResult:
    return ProbeResult(target, at, outcome)


def store_of(*targets: Target, history: int = 50) -> StateStore:
    store = StateStore(history)
    store.reconcile(targets)
    return store


def state_after(*outcomes: Outcome) -> TargetState:
    store = store_of(TARGET)
    for second, outcome in enumerate(outcomes):
        store.record(result(outcome, float(second)))
    state = store.get(KEY)
    assert state is not None
    return state


class Listener:
    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def on_change(self, state: TargetState) -> None:
        self.calls.append(("changed", state.target.name))

    def on_remove(self, key: TargetKey) -> None:
        self.calls.append(("removed", key.server_id))


def test_a_new_target_has_no_verdict_and_no_timestamps() -> None:
    state = state_after()
    assert state.success is None
    assert (state.last, state.last_attempt, state.last_verdict) == (None, None, None)
    assert state.last_success_at is None
    assert (state.verdicts, state.failures, state.throttled) == (0, 0, 0)


def test_a_success_resets_consecutive_failures() -> None:
    state = state_after(Outcome.TIMEOUT, Outcome.NOT_FOUND, Outcome.SUCCESS)
    assert state.success is True
    assert state.consecutive_failures == 0
    assert (state.verdicts, state.failures) == (3, 2)
    assert state.last_success_at == 2.0


def test_consecutive_failures_are_counted_and_keep_the_last_success() -> None:
    state = state_after(Outcome.SUCCESS, Outcome.TIMEOUT, Outcome.TLS_ERROR)
    assert state.success is False
    assert state.consecutive_failures == 2
    assert state.last_success_at == 0.0


@pytest.mark.parametrize(
    "outcome", [o for o in Outcome if o.verdict is Verdict.INCONCLUSIVE], ids=str
)
@pytest.mark.parametrize("before", [Outcome.SUCCESS, Outcome.TIMEOUT], ids=str)
def test_an_inconclusive_probe_does_not_change_the_verdict(
    before: Outcome, outcome: Outcome
) -> None:
    known, state = state_after(before), state_after(before, outcome)
    assert state.success is known.success
    assert state.last_verdict == known.last_verdict
    assert state.last_success_at == known.last_success_at
    assert state.consecutive_failures == known.consecutive_failures
    assert (state.verdicts, state.failures) == (known.verdicts, known.failures)
    assert state.last is not None
    assert state.last.outcome is outcome


def test_only_throttled_probes_count_as_throttled() -> None:
    state = state_after(Outcome.THROTTLED, Outcome.FORBIDDEN, Outcome.SKIPPED, Outcome.THROTTLED)
    assert state.throttled == 2


def test_a_skipped_probe_is_the_last_result_but_not_an_attempt() -> None:
    state = state_after(Outcome.SUCCESS, Outcome.SKIPPED)
    assert state.last is not None
    assert state.last.outcome is Outcome.SKIPPED
    assert state.last_attempt is not None
    assert state.last_attempt.outcome is Outcome.SUCCESS
    assert [one.outcome for one in state.history] == [Outcome.SUCCESS, Outcome.SKIPPED]


def test_history_keeps_the_newest_results_in_order() -> None:
    store = store_of(TARGET, history=2)
    for at in (1.0, 2.0, 3.0):
        store.record(result(Outcome.SUCCESS, at))
    state = store.get(KEY)
    assert state is not None
    assert [one.started_at for one in state.history] == [2.0, 3.0]


@pytest.mark.parametrize(("length", "kept"), [(2, [2.0, 3.0]), (4, [1.0, 2.0, 3.0, 4.0])])
def test_a_new_history_length_keeps_the_newest_results(length: int, kept: list[float]) -> None:
    store = store_of(TARGET, history=3)
    for at in (1.0, 2.0, 3.0):
        store.record(result(Outcome.SUCCESS, at))
    store.set_history_length(length)
    if length > 3:
        store.record(result(Outcome.SUCCESS, 4.0))
    state = store.get(KEY)
    assert state is not None
    assert [one.started_at for one in state.history] == kept


def test_changed_attributes_keep_counts_and_history() -> None:
    store = store_of(TARGET)
    store.record(result(Outcome.TIMEOUT))
    renamed = replace(TARGET, name="db-02", interval=30.0, labels=(("rack", "r1"),))
    store.reconcile([renamed])
    state = store.get(KEY)
    assert state is not None
    assert state.target is renamed
    assert (state.failures, len(state.history)) == (1, 1)


def test_a_result_with_old_attributes_does_not_restore_them() -> None:
    store = store_of(TARGET)
    renamed = replace(TARGET, name="db-02")
    store.reconcile([renamed])
    store.record(result(Outcome.SUCCESS, target=TARGET))
    state = store.get(KEY)
    assert state is not None
    assert state.target is renamed
    assert state.verdicts == 1


def test_a_late_result_of_a_removed_target_is_dropped() -> None:
    store = store_of(TARGET)
    listener = Listener()
    store.reconcile([])
    store.listen(listener)
    store.record(result(Outcome.SUCCESS))
    assert store.get(KEY) is None
    assert len(store) == 0
    assert listener.calls == []


def test_a_target_that_is_added_again_starts_without_state() -> None:
    store = store_of(TARGET)
    store.record(result(Outcome.SUCCESS))
    store.reconcile([])
    store.reconcile([TARGET])
    state = store.get(KEY)
    assert state is not None
    assert state.success is None
    assert not state.history


def test_the_same_server_id_in_two_projects_is_two_targets() -> None:
    other = replace(TARGET, key=TargetKey("north", KEY.server_id))
    store = store_of(TARGET, other)
    store.record(result(Outcome.SUCCESS, target=other))
    assert [state.success for state in store] == [None, True]


def test_listeners_are_called_for_changes_only() -> None:
    kept = replace(TARGET, key=TargetKey("southwest", "id-2"), name="kept")
    added = replace(TARGET, key=TargetKey("southwest", "id-3"), name="added")
    changed = replace(TARGET, key=TargetKey("southwest", "id-4"), name="changed")
    store = store_of(TARGET, kept, replace(changed, name="before"))
    listener = Listener()
    store.listen(listener)
    assert listener.calls == [("changed", "db-01"), ("changed", "kept"), ("changed", "before")]
    listener.calls.clear()
    store.reconcile([kept, added, changed])
    assert listener.calls == [("removed", "id-1"), ("changed", "added"), ("changed", "changed")]
    listener.calls.clear()
    store.record(result(Outcome.SKIPPED, target=kept))
    assert listener.calls == [("changed", "kept")]


@settings(deadline=None)
@given(st.lists(st.sampled_from(Outcome), max_size=30))
def test_the_state_matches_the_list_of_results(outcomes: Sequence[Outcome]) -> None:
    state = state_after(*outcomes)
    conclusive = [o for o in outcomes if o.verdict is not Verdict.INCONCLUSIVE]
    failing = [o is not Outcome.SUCCESS for o in conclusive]
    row = 0
    while row < len(failing) and failing[-1 - row]:
        row += 1
    assert state.verdicts == len(conclusive)
    assert state.failures == sum(failing)
    assert state.consecutive_failures == row
    assert state.throttled == outcomes.count(Outcome.THROTTLED)
    assert state.success is (not failing[-1] if failing else None)
    assert [one.outcome for one in state.history] == list(outcomes)


def test_results_keep_their_stages() -> None:
    timed = replace(result(Outcome.SUCCESS), stages=(StageTiming(Stage.API, 0.5, passed=True),))
    store = store_of(TARGET)
    store.record(timed)
    state = store.get(KEY)
    assert state is not None
    assert state.last_attempt is timed


def test_changing_some_targets_keeps_the_state_of_the_others() -> None:
    other = replace(TARGET, key=TargetKey("southwest", "id-2"), name="db-02")
    store, listener = store_of(TARGET, other), Listener()
    store.record(result(Outcome.SUCCESS))
    store.listen(listener)
    listener.calls.clear()
    new = replace(TARGET, key=TargetKey("southwest", "id-3"), name="db-03")
    renamed = replace(TARGET, name="db-01a")
    store.change([renamed, new], [other.key, TargetKey("southwest", "never-there")])
    assert listener.calls == [("removed", "id-2"), ("changed", "db-01a"), ("changed", "db-03")]
    assert [state.target.name for state in store] == ["db-01a", "db-03"]
    kept = store.get(KEY)
    assert kept is not None
    assert kept.verdicts == 1
