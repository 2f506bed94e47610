"""Which results are events of a whole project."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.model import ProbeResult, Stage, Target, TargetKey
from exporter.outcome import Outcome
from exporter.state import ProjectEvents, StateStore

TARGETS = [
    Target(TargetKey(project, f"id-{number}"), f"srv-{number}", "cn-east-3", 60.0, 10.0)
    for project in ("east", "southwest")
    for number in range(2)
]
EAST, OTHER_OF_EAST, SOUTHWEST = TARGETS[0], TARGETS[1], TARGETS[2]


@pytest.fixture
def store() -> StateStore:
    store = StateStore(5)
    store.listen(ProjectEvents())
    store.reconcile(TARGETS)
    return store


def events(store: StateStore, *results: tuple[Target, float, Outcome]) -> list[dict[str, Any]]:
    with capture_logs() as logged:
        for target, at, outcome in results:
            failed = None if outcome is Outcome.SUCCESS else Stage.API
            store.record(ProbeResult(target, at, outcome, failed, detail=f"why {outcome}"))
    return [dict(event) for event in logged]


def test_a_login_that_fails_is_one_event_for_all_servers_and_one_when_it_works_again(
    store: StateStore,
) -> None:
    failed, works = events(
        store,
        (EAST, 10.0, Outcome.UNAUTHORIZED),
        (OTHER_OF_EAST, 11.0, Outcome.UNAUTHORIZED),
        (EAST, 70.0, Outcome.UNAUTHORIZED),
        (SOUTHWEST, 71.0, Outcome.SUCCESS),
        (EAST, 130.0, Outcome.SKIPPED),
        (OTHER_OF_EAST, 131.0, Outcome.TIMEOUT),
        (EAST, 190.0, Outcome.SUCCESS),
    )
    assert (failed["event"], failed["log_level"]) == (
        "login failed, no server can be probed",
        "warning",
    )
    assert (failed["project"], failed["detail"]) == ("east", "why unauthorized")
    assert works == {
        "event": "login recovered",
        "log_level": "info",
        "project": "east",
        "after_seconds": 121.0,
    }


def test_throttling_is_one_event_until_it_has_been_quiet_for_long(store: StateStore) -> None:
    told = events(
        store,
        (EAST, 0.0, Outcome.THROTTLED),
        (OTHER_OF_EAST, 200.0, Outcome.THROTTLED),
        (EAST, 400.0, Outcome.THROTTLED),
        (SOUTHWEST, 401.0, Outcome.THROTTLED),
        (EAST, 800.0, Outcome.THROTTLED),
    )
    assert [(one["project"], one["log_level"]) for one in told] == [
        ("east", "warning"),
        ("southwest", "warning"),
        ("east", "warning"),
    ]
    assert {one["event"] for one in told} == {"rate limited by the cloud, probes slowed down"}


def test_what_is_known_from_before_a_restart_is_no_event(store: StateStore) -> None:
    events(store, (EAST, 0.0, Outcome.UNAUTHORIZED))
    state = store.get(EAST.key)
    assert state is not None
    state.restored = state.last
    with capture_logs() as logged:
        ProjectEvents().on_change(state)
    assert logged == []
