"""Recorded events change the values of the exposed metrics."""

import gc
import platform
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from exporter.metrics.instruments import Instruments
from exporter.metrics.project_instruments import ProjectInstruments
from exporter.model import ProbeResult, ProjectStatus, Stage, Target, TargetKey
from exporter.outcome import Outcome

if TYPE_CHECKING:
    from exporter.cloud.observer import ProjectObserver
    from tests.metrics.conftest import Readings

TARGET = Target(TargetKey("southwest", "id-1"), "db-01", "cn-southwest-2", 60.0, 10.0)
STATUS = ProjectStatus("southwest", "cn-southwest-2", 2.5, 5.0, 3)


@pytest.fixture
def project(instruments: Instruments) -> ProjectInstruments:
    return instruments.add_project("southwest")


def value(instruments: Instruments, name: str, **labels: str) -> float | None:
    return instruments.registry.get_sample_value(name, labels)


def of_project(instruments: Instruments, name: str, **labels: str) -> float | None:
    return value(instruments, name, project="southwest", **labels)


def series_of(instruments: Instruments, project: str) -> list[str]:
    return [
        sample.name
        for metric in instruments.registry.collect()
        for sample in metric.samples
        if sample.labels.get("project") == project
    ]


def test_project_instruments_are_a_project_observer(project: ProjectInstruments) -> None:
    observer: ProjectObserver = project
    assert observer is project


def test_series_with_known_labels_start_at_zero(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    del project
    for outcome in Outcome:
        assert of_project(instruments, "console_probes_total", outcome=outcome) == 0
    for operation, code in [
        ("remote_console", "200"),
        ("remote_console", "429"),
        ("list_servers", "none"),
        ("create_token", "201"),
    ]:
        name = "console_api_requests_total"
        assert of_project(instruments, name, operation=operation, code=code) == 0
        name = "console_api_request_duration_seconds_count"
        assert of_project(instruments, name, operation=operation) == 0
    for phase in ("dns", "connect", "tls"):
        name = "console_http_connection_duration_seconds_count"
        assert of_project(instruments, name, phase=phase) == 0
    for name in (
        "console_api_requests_in_flight",
        "console_http_connections_opened_total",
        "console_throttle_wait_seconds_total",
        "console_throttle_responses_total",
        "console_auth_refreshes_total",
        "console_auth_failures_total",
    ):
        assert of_project(instruments, name) == 0
    for level in ("debug", "info", "warning", "error", "critical"):
        assert value(instruments, "console_exporter_log_messages_total", level=level) == 0


def test_request_is_in_flight_until_it_ends(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    project.request_started("remote_console")
    project.request_started("list_servers")
    assert of_project(instruments, "console_api_requests_in_flight") == 2
    project.request_finished("remote_console", 200, 0.3)
    assert of_project(instruments, "console_api_requests_in_flight") == 1
    project.request_cancelled()
    assert of_project(instruments, "console_api_requests_in_flight") == 0


@pytest.mark.parametrize(("status", "code"), [(200, "200"), (503, "503"), (None, "none")])
def test_requests_are_counted_by_status(
    instruments: Instruments, project: ProjectInstruments, status: int | None, code: str
) -> None:
    project.request_started("remote_console")
    project.request_finished("remote_console", status, 0.3)
    where = {"operation": "remote_console"}
    assert of_project(instruments, "console_api_requests_total", code=code, **where) == 1
    duration = "console_api_request_duration_seconds"
    assert of_project(instruments, f"{duration}_bucket", le="0.25", **where) == 0
    assert of_project(instruments, f"{duration}_bucket", le="0.5", **where) == 1
    assert of_project(instruments, f"{duration}_sum", **where) == 0.3


def test_errors_are_counted_by_code(instruments: Instruments, project: ProjectInstruments) -> None:
    project.request_finished("remote_console", 404, 0.1, error_code="iMetal.0100")
    project.request_finished("remote_console", 502, 0.1)
    errors = [
        sample.labels["error_code"]
        for metric in instruments.registry.collect()
        for sample in metric.samples
        if sample.name == "console_api_errors_total"
    ]
    assert errors == ["iMetal.0100"]


def test_error_codes_after_the_fiftieth_are_other(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    for number in range(60):
        project.request_finished("remote_console", 400, 0.1, error_code=f"Odd.{number:04}")
    project.request_finished("list_servers", 400, 0.1, error_code="Odd.0049")
    name = "console_api_errors_total"
    errors = {"operation": "remote_console"}
    assert of_project(instruments, name, error_code="other", **errors) == 10
    assert of_project(instruments, name, error_code="Odd.0050", **errors) is None
    assert of_project(instruments, name, error_code="Odd.0049", operation="list_servers") == 1


def test_statuses_after_the_fiftieth_are_other(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    name = "console_api_requests_total"
    for status in range(1000):
        project.request_started("list_servers")
        project.request_finished("list_servers", status, 0.1)
    assert of_project(instruments, name, code="429", operation="list_servers") == 1
    others = of_project(instruments, name, code="other", operation="list_servers")
    assert others is not None
    assert others > 940
    listed = [
        sample
        for family in instruments.registry.collect()
        for sample in family.samples
        if sample.name == name and sample.labels["operation"] == "list_servers"
    ]
    assert len(listed) <= 52
    assert sum(sample.value for sample in listed) == 1000


@pytest.mark.parametrize(
    ("server_id", "request_id", "exemplar"),
    [
        ("s" * 36, "r" * 32, {"server_id": "s" * 36, "request_id": "r" * 32}),
        ("s" * 36, "r" * 73, {"server_id": "s" * 36, "request_id": "r" * 73}),
        ("s" * 36, "r" * 74, {"server_id": "s" * 36}),
        ("s" * 120, "r" * 32, {"request_id": "r" * 32}),
        ("", "r" * 32, {"request_id": "r" * 32}),
        ("", "", None),
    ],
)
def test_exemplars_have_the_ids_that_fit_into_128_characters(
    instruments: Instruments,
    project: ProjectInstruments,
    server_id: str,
    request_id: str,
    exemplar: dict[str, str] | None,
) -> None:
    project.request_finished("remote_console", 200, 0.3, server_id=server_id, request_id=request_id)
    found = [
        sample.exemplar.labels if sample.exemplar else None
        for metric in instruments.registry.collect()
        for sample in metric.samples
        if sample.name == "console_api_request_duration_seconds_bucket"
        and sample.labels["operation"] == "remote_console"
        and sample.labels["le"] == "0.5"
    ]
    assert found == [exemplar]


def test_connections_are_counted_and_timed_by_phase(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    project.connection_opened({"connect": 0.02, "tls": 0.04})
    assert of_project(instruments, "console_http_connections_opened_total") == 1
    name = "console_http_connection_duration_seconds"
    assert of_project(instruments, f"{name}_sum", phase="connect") == 0.02
    assert of_project(instruments, f"{name}_sum", phase="tls") == 0.04
    assert of_project(instruments, f"{name}_count", phase="dns") == 0


def test_certificate_expiry_is_exposed_for_fifty_hosts_at_most(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    for number in range(51):
        project.certificate_seen(f"host-{number}", 1000.0)
    project.certificate_seen("host-0", 2000.0)
    name = "console_tls_certificate_expiry_timestamp_seconds"
    assert of_project(instruments, name, host="host-0") == 2000
    assert of_project(instruments, name, host="host-49") == 1000
    assert of_project(instruments, name, host="host-50") is None


def test_throttle_and_login_events_are_counted(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    project.throttled()
    project.waited(1.5)
    project.waited(0.5)
    project.login_refreshed()
    project.login_failed()
    assert of_project(instruments, "console_throttle_responses_total") == 1
    assert of_project(instruments, "console_throttle_wait_seconds_total") == 2
    assert of_project(instruments, "console_auth_refreshes_total") == 1
    assert of_project(instruments, "console_auth_failures_total") == 1


def test_only_configured_sources_have_series(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    servers, success = (
        "console_discovery_servers",
        "console_discovery_last_success_timestamp_seconds",
    )
    refreshes, failures = "console_discovery_refreshes_total", "console_discovery_failures_total"
    for name in (servers, success, refreshes, failures):
        assert of_project(instruments, name, source="cloud") is None
    project.discovery.show(["static", "cloud"])
    project.discovery.discovered("static", 7)
    assert of_project(instruments, servers, source="static") == 7
    assert of_project(instruments, refreshes, source="static") is None
    for name in (servers, success, refreshes, failures):
        assert of_project(instruments, name, source="cloud") == 0
    project.discovery.refreshed("cloud", 1000.0)
    project.discovery.refresh_failed("cloud")
    project.discovery.current("cloud", 2000.0)
    assert of_project(instruments, refreshes, source="cloud") == 1
    assert of_project(instruments, failures, source="cloud") == 1
    assert of_project(instruments, success, source="cloud") == 2000
    project.discovery.show(["static"])
    project.discovery.refreshed("cloud", 3000.0)
    for name in (servers, success, refreshes, failures):
        assert of_project(instruments, name, source="cloud") is None
    assert of_project(instruments, servers, source="static") == 7


def test_probes_are_counted_by_outcome(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    project.probed(ProbeResult(TARGET, 1.0, Outcome.SKIPPED, waited_seconds=60.0))
    project.probed(ProbeResult(TARGET, 1.0, Outcome.TIMEOUT, Stage.API))
    assert of_project(instruments, "console_probes_total", outcome="skipped") == 1
    assert of_project(instruments, "console_probes_total", outcome="timeout") == 1
    assert of_project(instruments, "console_throttle_wait_seconds_total") == 0


def test_gauges_of_a_project_are_read_from_its_status(
    instruments: Instruments, readings: "Readings"
) -> None:
    limit = "console_throttle_limit_requests_per_second"
    expiry = "console_auth_token_expiry_timestamp_seconds"
    resume = "console_throttle_resume_timestamp_seconds"
    assert of_project(instruments, limit) is None
    readings.projects = [STATUS, replace(STATUS, name="north", limit=1.0)]
    assert of_project(instruments, limit) == 2.5
    assert value(instruments, limit, project="north") == 1
    assert of_project(instruments, "console_throttle_ceiling_requests_per_second") == 5
    assert of_project(instruments, "console_throttle_queue_length") == 3
    assert of_project(instruments, resume) == 0
    assert of_project(instruments, expiry) is None
    readings.projects = [replace(STATUS, resume_at=98.0, login_expires_at=99.0)]
    assert of_project(instruments, resume) == 98
    assert of_project(instruments, expiry) == 99
    reachable = "console_api_reachable"
    assert of_project(instruments, reachable) is None
    for answers in (True, False):
        readings.projects = [replace(STATUS, api_reachable=answers)]
        assert of_project(instruments, reachable) == answers
    assert value(instruments, limit, project="north") is None


def test_gauges_of_the_exporter_are_absent_while_their_value_is_unknown(
    instruments: Instruments, readings: "Readings"
) -> None:
    name = "console_exporter_event_loop_lag_seconds"
    assert value(instruments, name) is None
    readings.event_loop_lag = 0.1
    assert value(instruments, name) == 0.1
    readings.event_loop_lag = None
    assert value(instruments, name) is None


def test_events_after_removal_do_not_bring_back_the_series_of_a_project(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    instruments.add_project("north")
    project.request_started("remote_console")
    project.certificate_seen("host", 1.0)
    instruments.remove_project("southwest")
    project.request_finished("remote_console", 418, 0.1, error_code="iMetal.0099")
    project.certificate_seen("other-host", 1.0)
    project.probed(ProbeResult(TARGET, 1.0, Outcome.SUCCESS))
    project.connection_opened({"dns": 0.1})
    project.waited(1.0)
    project.throttled()
    project.login_refreshed()
    project.login_failed()
    project.discovery.refreshed("cloud", 1.0)
    project.discovery.discovered("static", 1)
    assert series_of(instruments, "southwest") == []
    assert len(series_of(instruments, "north")) > 50
    instruments.remove_project("southwest")


def test_removed_project_leaves_no_objects_in_memory(instruments: Instruments) -> None:
    def add_and_remove() -> None:
        instruments.add_project("southwest")
        instruments.remove_project("southwest")

    add_and_remove()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(10):
        add_and_remove()
    gc.collect()
    assert len(gc.get_objects()) - before < 10


def test_project_that_is_added_again_keeps_its_counters(
    instruments: Instruments, project: ProjectInstruments
) -> None:
    project.throttled()
    again = instruments.add_project("southwest")
    assert again is project
    assert of_project(instruments, "console_throttle_responses_total") == 1


def test_reload_metrics_describe_the_active_configuration(instruments: Instruments) -> None:
    prefix = "console_exporter_config"
    time, successful = f"{prefix}_last_reload_success_timestamp_seconds", "last_reload_successful"
    assert value(instruments, time) is None
    assert value(instruments, f"{prefix}_hash") is None
    instruments.config_loaded(bytes(range(32)), at=1_800_000_000.5)
    assert value(instruments, f"{prefix}_{successful}") == 1
    assert value(instruments, time) == 1_800_000_000.5
    assert value(instruments, f"{prefix}_hash") == 0x1A1B1C1D1E1F
    instruments.config_refused()
    assert value(instruments, f"{prefix}_{successful}") == 0
    assert value(instruments, time) == 1_800_000_000.5
    assert value(instruments, f"{prefix}_hash") == 0x1A1B1C1D1E1F


def test_events_of_the_exporter_are_counted(instruments: Instruments, readings: "Readings") -> None:
    readings.targets, readings.overdue_servers = 12, 2
    instruments.probe_due(0.003)
    instruments.probes_missed(2)
    instruments.scraped(0.02)
    instruments.logged("warning")
    instruments.logged("no such level")
    assert value(instruments, "console_scheduler_lateness_seconds_bucket", le="0.005") == 1
    assert value(instruments, "console_scheduler_missed_probes_total") == 2
    assert value(instruments, "console_exporter_scrape_duration_seconds_sum") == 0.02
    assert value(instruments, "console_exporter_log_messages_total", level="warning") == 1
    assert value(instruments, "console_exporter_log_messages_total", level="error") == 1
    assert value(instruments, "console_exporter_targets") == 12
    assert value(instruments, "console_scheduler_overdue_servers") == 2


def test_build_info_has_the_versions(instruments: Instruments) -> None:
    assert (
        value(
            instruments,
            "console_exporter_build_info",
            version="1.2.3",
            python_version=platform.python_version(),
        )
        == 1
    )


def test_instruments_are_isolated_from_each_other_and_from_the_global_registry(
    instruments: Instruments, readings: "Readings"
) -> None:
    other = readings.instruments()
    instruments.probes_missed(1)
    assert value(other, "console_scheduler_missed_probes_total") == 0
    assert not [metric for metric in REGISTRY.collect() if metric.name.startswith("console_")]
