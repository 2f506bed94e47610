"""Tests of the log events of consoles."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.model import ProbeResult, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome, Verdict
from exporter.state import ConsoleEvents, StateStore

KEY = TargetKey("southwest", "id-1")
TARGET = Target(KEY, "db-01", "cn-southwest-2", interval=60.0, timeout=10.0)


def result(outcome: Outcome, at: float) -> ProbeResult:
    failed = outcome is not Outcome.SUCCESS
    return ProbeResult(
        TARGET,
        at,
        outcome,
        Stage.API if failed else None,
        status_code=503 if failed else 200,
        error_code="APIGW.0613" if failed else "",
        request_id=f"request-{at:g}",
        stages=(StageTiming(Stage.API, 0.25, not failed),),
        detail="the API answered 503 APIGW.0613" if failed else "",
    )


@pytest.fixture
def store() -> StateStore:
    store = StateStore(history_length=5)
    store.listen(ConsoleEvents())
    store.reconcile([TARGET])
    return store


def events(store: StateStore, *outcomes: Outcome) -> list[dict[str, Any]]:
    with capture_logs() as logged:
        for second, outcome in enumerate(outcomes):
            store.record(result(outcome, float(second)))
    return [dict(event) for event in logged]


def test_the_first_failure_is_logged_with_all_details(store: StateStore) -> None:
    assert events(store, Outcome.SUCCESS, Outcome.SERVER_ERROR) == [
        {
            "event": "console unavailable",
            "log_level": "warning",
            "project": "southwest",
            "server_id": "id-1",
            "server": "db-01",
            "outcome": "server_error",
            "stage": "api",
            "duration_seconds": 0.25,
            "status_code": 503,
            "error_code": "APIGW.0613",
            "request_id": "request-1",
            "detail": "the API answered 503 APIGW.0613",
        }
    ]


def test_a_recovery_is_logged_with_the_length_of_the_outage(store: StateStore) -> None:
    (_, recovered) = events(
        store, Outcome.TIMEOUT, Outcome.TIMEOUT, Outcome.THROTTLED, Outcome.SUCCESS
    )
    assert recovered["event"] == "console recovered"
    assert recovered["log_level"] == "info"
    assert recovered["down_seconds"] == 3.0
    assert recovered["request_id"] == "request-3"
    assert {"stage", "error_code", "detail"}.isdisjoint(recovered)


def test_an_unchanged_verdict_is_not_logged(store: StateStore) -> None:
    failing = events(store, Outcome.TIMEOUT, Outcome.TLS_ERROR, Outcome.NOT_FOUND)
    assert [event["event"] for event in failing] == ["console unavailable"]
    working = events(store, Outcome.SUCCESS, Outcome.SUCCESS, Outcome.SUCCESS)
    assert [event["event"] for event in working] == ["console recovered"]


@pytest.mark.parametrize(
    "outcome", [o for o in Outcome if o.verdict is Verdict.INCONCLUSIVE], ids=str
)
def test_an_inconclusive_probe_is_not_an_event(store: StateStore, outcome: Outcome) -> None:
    assert events(store, Outcome.SUCCESS, outcome, Outcome.SUCCESS) == []
    failing = events(store, Outcome.TIMEOUT, outcome, Outcome.TIMEOUT)
    assert [event["event"] for event in failing] == ["console unavailable"]


def test_changed_attributes_of_a_failing_server_are_not_logged(store: StateStore) -> None:
    events(store, Outcome.TIMEOUT)
    with capture_logs() as logged:
        store.reconcile([replace(TARGET, name="db-02")])
    assert logged == []


def test_an_existing_failure_is_not_logged_but_its_recovery_is(store: StateStore) -> None:
    events(store, Outcome.TIMEOUT, Outcome.TIMEOUT)
    with capture_logs() as logged:
        store.listen(ConsoleEvents())
    assert logged == []
    with capture_logs() as logged:
        store.record(result(Outcome.SUCCESS, 9.0))
    # The second listener takes the start of the outage from the state.
    assert [(event["event"], event["down_seconds"]) for event in logged] == [
        ("console recovered", 9.0)
    ] * 2


def test_a_removed_server_is_forgotten(store: StateStore) -> None:
    events(store, Outcome.TIMEOUT)
    store.reconcile([])
    store.reconcile([TARGET])
    assert events(store, Outcome.SUCCESS) == []
    assert [event["event"] for event in events(store, Outcome.TIMEOUT)] == ["console unavailable"]


@pytest.fixture
def _debug() -> Iterator[None]:
    logger = logging.getLogger("exporter.state.console_events")
    logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("_debug")
def test_every_probe_is_logged_at_debug_level(store: StateStore) -> None:
    logged = events(store, Outcome.SUCCESS, Outcome.SUCCESS, Outcome.SKIPPED)
    assert [event["event"] for event in logged] == ["console probed"] * 3
