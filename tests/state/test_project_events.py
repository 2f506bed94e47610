"""Tests of the log events of projects."""

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


def test_a_failed_login_and_its_recovery_are_logged_once_per_project(
    store: StateStore,
) -> None:
    failed, recovered = events(
        store,
        (EAST, 10.0, Outcome.UNAUTHORIZED),
        (OTHER_OF_EAST, 11.0, Outcome.UNAUTHORIZED),
        (EAST, 70.0, Outcome.UNAUTHORIZED),
        (SOUTHWEST, 71.0, Outcome.SUCCESS),
        (EAST, 130.0, Outcome.SKIPPED),
        (OTHER_OF_EAST, 131.0, Outcome.TIMEOUT),
        (EAST, 132.0, Outcome.SERVER_ERROR),
        (OTHER_OF_EAST, 133.0, Outcome.CONNECT_ERROR),
        (EAST, 190.0, Outcome.FORBIDDEN),
        (EAST, 250.0, Outcome.SUCCESS),
    )
    assert (failed["event"], failed["log_level"]) == (
        "login failed, no server can be probed",
        "warning",
    )
    assert (failed["project"], failed["detail"]) == ("east", "why unauthorized")
    assert recovered == {
        "event": "login recovered",
        "log_level": "info",
        "project": "east",
        "after_seconds": 180.0,
    }


def test_a_401_for_one_server_is_not_a_failed_login(store: StateStore) -> None:
    with capture_logs() as logged:
        store.record(ProbeResult(EAST, 10.0, Outcome.UNAUTHORIZED, Stage.API, status_code=401))
    assert logged == []


def test_throttling_is_logged_once_until_it_has_stopped_for_a_while(store: StateStore) -> None:
    logged = events(
        store,
        (EAST, 0.0, Outcome.THROTTLED),
        (OTHER_OF_EAST, 200.0, Outcome.THROTTLED),
        (EAST, 400.0, Outcome.THROTTLED),
        (SOUTHWEST, 401.0, Outcome.THROTTLED),
        (EAST, 800.0, Outcome.THROTTLED),
    )
    assert [(one["project"], one["log_level"]) for one in logged] == [
        ("east", "warning"),
        ("southwest", "warning"),
        ("east", "warning"),
    ]
    assert {one["event"] for one in logged} == {"rate limited by the cloud, probes slowed down"}


def test_a_restored_result_is_not_an_event(store: StateStore) -> None:
    events(store, (EAST, 0.0, Outcome.UNAUTHORIZED))
    state = store.get(EAST.key)
    assert state is not None
    state.restored = state.last
    with capture_logs() as logged:
        ProjectEvents().on_change(state)
    assert logged == []


def test_an_unreachable_api_and_its_recovery_are_logged_once_per_project(
    store: StateStore,
) -> None:
    unreachable, reachable = events(
        store,
        (EAST, 10.0, Outcome.UNREACHABLE),
        (OTHER_OF_EAST, 11.0, Outcome.WRONG_ENDPOINT),
        (SOUTHWEST, 71.0, Outcome.SUCCESS),
        (EAST, 130.0, Outcome.SKIPPED),
        (OTHER_OF_EAST, 131.0, Outcome.CONNECT_ERROR),
        (EAST, 190.0, Outcome.SUCCESS),
    )
    assert (unreachable["event"], unreachable["log_level"]) == (
        "API unreachable, no server can be probed",
        "warning",
    )
    assert (unreachable["project"], unreachable["detail"]) == ("east", "why unreachable")
    assert reachable == {
        "event": "API reachable again",
        "log_level": "info",
        "project": "east",
        "after_seconds": 121.0,
    }
