"""The exposition is complete, valid in both formats, and does not block the event loop."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.metrics.catalog import CATALOG, SERVER_INFO
from exporter.metrics.exposition import Exposition, probe_text
from exporter.metrics.instruments import Instruments
from exporter.metrics.negotiation import Format
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, ProjectStatus, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome
from exporter.state import StateStore

if TYPE_CHECKING:
    from tests.metrics.conftest import Readings

TARGETS = [
    Target(
        TargetKey("southwest", f"id-{number}"),
        name,
        "cn-southwest-2",
        interval=60.0,
        timeout=10.0,
        labels=(("rack", "r12"),),
    )
    for number, name in enumerate(["db-01", '"机房"\\\n', "web"])
]
FAMILIES: dict[Format, Callable[[str], Iterable[Metric]]] = {
    Format.TEXT: parse_text,
    Format.OPENMETRICS: parse_openmetrics,
}


@pytest.fixture
def exposition(instruments: Instruments, readings: "Readings") -> Exposition:
    """Return the exposition of a small exporter in which every event has happened once."""
    readings.targets = readings.overdue_servers = readings.event_loop_lag = 1.0
    readings.projects = [
        ProjectStatus("southwest", "cn-southwest-2", 1.0, 1.0, 1, 1.0, 1.0, api_reachable=True)
    ]
    store, series = StateStore(history_length=5), ServerSeries()
    store.listen(series)
    store.reconcile(TARGETS)
    project = instruments.add_project("southwest")
    for at, (target, outcome) in enumerate(
        zip(TARGETS, (Outcome.SUCCESS, Outcome.TIMEOUT, Outcome.THROTTLED), strict=True)
    ):
        failed_stage = None if outcome is Outcome.SUCCESS else Stage.API
        timing = StageTiming(Stage.API, 0.1, passed=failed_stage is None)
        result = ProbeResult(target, 1.8e9 + at, outcome, failed_stage, 200, stages=(timing,))
        store.record(result)
        project.probed(result)
    project.request_started("remote_console")
    project.request_finished(
        "remote_console",
        404,
        0.2,
        error_code="iMetal.0100",
        server_id="id-1",
        request_id="r" * 40,
    )
    project.connection_opened({"dns": 0.001, "connect": 0.01, "tls": 0.02})
    project.certificate_seen("clouddc.example.com", 1.9e9)
    project.discovery.show(["static", "cloud"])
    project.discovery.discovered("static", 3)
    project.discovery.refreshed("cloud", 1.8e9)
    instruments.sharded(0, 1)
    instruments.config_loaded(b"0" * 32, at=1.8e9)
    instruments.probe_due(0.01)
    instruments.scraped(0.01)
    return Exposition(series, instruments.registry)


def text_of(exposition: Exposition, form: Format, *names: str) -> str:
    return b"".join(exposition.chunks(form, names)).decode()


def lines_of(exposition: Exposition, *names: str) -> list[str]:
    text = text_of(exposition, Format.TEXT, *names)
    return [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("form", Format)
def test_exposed_metrics_equal_the_catalog(exposition: Exposition, form: Format) -> None:
    families = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in FAMILIES[form](text_of(exposition, form))
        if not family.name.startswith(("process_", "python_"))
    }
    assert families.keys() == {metric.name for metric in CATALOG}
    for metric in CATALOG:
        family = families[metric.name]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        assert family.samples
        free = {"rack"} if metric is SERVER_INFO else set()
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == {*metric.labels} | free


@pytest.mark.parametrize("form", Format)
def test_process_and_python_metrics_are_there(exposition: Exposition, form: Format) -> None:
    names = {family.name for family in FAMILIES[form](text_of(exposition, form))}
    assert {"process_resident_memory_bytes", "python_info", "python_gc_collections"} <= names


def test_no_created_series_are_exposed(exposition: Exposition) -> None:
    assert "_created" not in text_of(exposition, Format.TEXT)
    assert "_created" not in text_of(exposition, Format.OPENMETRICS)


def test_only_openmetrics_has_exactly_one_eof_line(exposition: Exposition) -> None:
    text = text_of(exposition, Format.OPENMETRICS)
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1
    assert "# EOF" not in text_of(exposition, Format.TEXT)


def test_only_openmetrics_has_exemplars(exposition: Exposition) -> None:
    families = parse_openmetrics(text_of(exposition, Format.OPENMETRICS))  # type: ignore[no-untyped-call]
    exemplars = [
        sample.exemplar.labels
        for family in families
        for sample in family.samples
        if sample.exemplar
    ]
    assert exemplars == [{"server_id": "id-1", "request_id": "r" * 40}]
    assert "request_id" not in text_of(exposition, Format.TEXT)


def test_promtool_check_metrics_passes(exposition: Exposition) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not installed")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=text_of(exposition, Format.TEXT).encode(),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("console_probe_success", 2),
        ("console_probe_failures_total", 3),
        ("console_probe_failures", 3),
        ("console_probes_total", len(Outcome)),
        ("console_probes", len(Outcome)),
        ("console_api_request_duration_seconds_sum", 3),
        ("console_api_request_duration_seconds", 39),
        ("console_exporter_targets", 1),
        ("python_info", 1),
        ("console_", 0),
        ("no_such_metric", 0),
    ],
)
@pytest.mark.parametrize("form", Format)
def test_names_select_samples_and_families_by_exact_match(
    exposition: Exposition, form: Format, name: str, count: int
) -> None:
    text = text_of(exposition, form, name)
    assert sum(not line.startswith("#") for line in text.splitlines()) == count


def test_several_names_select_all_of_them(exposition: Exposition) -> None:
    lines = lines_of(exposition, "console_probe_success", "console_exporter_targets")
    assert len(lines) == 3


def test_empty_selection_is_still_valid_openmetrics(exposition: Exposition) -> None:
    assert text_of(exposition, Format.OPENMETRICS, "no_such_metric") == "# EOF\n"
    assert text_of(exposition, Format.TEXT, "no_such_metric") == ""


async def test_joined_pieces_equal_the_whole_text(exposition: Exposition) -> None:
    names = [metric.name for metric in CATALOG]
    for form in Format:
        whole = b"".join(exposition.chunks(form, names))
        assert b"".join([piece async for piece in exposition.pieces(form, names)]) == whole


async def test_other_tasks_run_between_chunks(exposition: Exposition) -> None:
    runs = 0
    scraping = True

    async def other_task() -> None:
        nonlocal runs
        while scraping:
            runs += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other_task())
    async for _ in exposition.pieces(Format.TEXT):
        pass
    scraping = False
    await task
    assert runs >= len(CATALOG)


def test_probe_text_has_the_metrics_of_one_probe_without_counters() -> None:
    timing = StageTiming(Stage.API, 0.25, passed=False)
    result = ProbeResult(TARGETS[0], 1.8e9, Outcome.NOT_FOUND, Stage.API, 404, stages=(timing,))
    own = 'project="southwest",server_id="id-0",server="db-01"'
    text = probe_text(result, Format.TEXT).decode()
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        f"console_probe_success{{{own}}} 0.0",
        f'console_probe_outcome{{{own},outcome="not_found",stage="api"}} 1.0',
        f"console_probe_duration_seconds{{{own}}} 0.25",
        f'console_probe_stage_duration_seconds{{{own},stage="api"}} 0.25',
        f"console_probe_http_status_code{{{own}}} 404.0",
    ]
    openmetrics = probe_text(result, Format.OPENMETRICS).decode()
    assert len(list(parse_openmetrics(openmetrics))) == 5  # type: ignore[no-untyped-call]
