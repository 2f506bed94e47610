"""The health state of a target: its last verdict, until that is stale."""

import pytest

from exporter.model import ProbeResult, Target, TargetKey
from exporter.outcome import Outcome, Verdict
from exporter.state import StateStore, TargetState
from exporter.web.health_state import (
    STALE_INTERVALS,
    HealthState,
    health_state_of,
    last_inconclusive,
)
from monitoring.parameters import Parameters

NOW = 1_800_000_000.0
TARGET = Target(TargetKey("southwest", "id-1"), "db-01", "cn-southwest-2", 60.0, 10.0)
INCONCLUSIVE = [outcome for outcome in Outcome if outcome.verdict is Verdict.INCONCLUSIVE]


def after(*outcomes: Outcome, at: float = NOW) -> TargetState:
    store = StateStore(history_length=10)
    store.reconcile([TARGET])
    for outcome in outcomes:
        store.record(ProbeResult(TARGET, at, outcome))
    state = store.get(TARGET.key)
    assert state is not None
    return state


def test_health_state_follows_the_last_verdict() -> None:
    assert health_state_of(after(), NOW) is HealthState.UNKNOWN
    assert health_state_of(after(Outcome.SUCCESS), NOW) is HealthState.WORKING
    assert health_state_of(after(Outcome.SUCCESS, Outcome.TIMEOUT), NOW) is HealthState.FAILING


@pytest.mark.parametrize("outcome", INCONCLUSIVE)
def test_inconclusive_probe_keeps_the_health_state_and_is_reported(outcome: Outcome) -> None:
    assert health_state_of(after(outcome), NOW) is HealthState.UNKNOWN
    assert health_state_of(after(Outcome.SUCCESS, outcome), NOW) is HealthState.WORKING
    assert health_state_of(after(Outcome.TIMEOUT, outcome), NOW) is HealthState.FAILING
    assert last_inconclusive(after(Outcome.SUCCESS, outcome))
    assert not last_inconclusive(after(outcome, Outcome.SUCCESS))
    assert not last_inconclusive(after())


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.TIMEOUT])
def test_verdict_is_stale_after_five_intervals(outcome: Outcome) -> None:
    state = after(outcome)
    assert health_state_of(state, NOW + 300) is not HealthState.STALE
    assert health_state_of(state, NOW + 300.1) is HealthState.STALE


def test_pages_and_alerts_use_the_same_stale_age() -> None:
    assert Parameters().stale_intervals == STALE_INTERVALS
