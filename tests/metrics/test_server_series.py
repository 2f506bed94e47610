"""The per-server series are rendered from the state of each server."""

import gc
import weakref
from dataclasses import replace

import pytest

from exporter.metrics.negotiation import Format
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome
from exporter.state import StateStore

TARGET = Target(
    TargetKey("southwest", "id-1"),
    "db-01",
    "cn-southwest-2",
    interval=60.0,
    timeout=10.0,
    labels=(("rack", "r12"), ("team", "storage")),
)
OWN = 'project="southwest",server_id="id-1",server="db-01"'

SUCCESS = ProbeResult(
    TARGET,
    started_at=1_800_000_000.25,
    outcome=Outcome.SUCCESS,
    status_code=200,
    stages=(StageTiming(Stage.API, 0.125, passed=True),),
    waited_seconds=3.0,
)
DEEP_FAILURE = ProbeResult(
    TARGET,
    started_at=1_800_000_060.25,
    outcome=Outcome.WEBSOCKET_REJECTED,
    failed_stage=Stage.WEBSOCKET,
    status_code=200,
    stages=(
        StageTiming(Stage.API, 0.125, passed=True),
        StageTiming(Stage.PAGE, 0.25, passed=True),
        StageTiming(Stage.WEBSOCKET, 0.5, passed=False),
    ),
)
THROTTLED = ProbeResult(
    TARGET,
    started_at=1_800_000_120.25,
    outcome=Outcome.THROTTLED,
    failed_stage=Stage.API,
    status_code=429,
    stages=(StageTiming(Stage.API, 0.0625, passed=False),),
)
NO_LOGIN = ProbeResult(
    TARGET,
    started_at=1_800_000_180.25,
    outcome=Outcome.UNAUTHORIZED,
    failed_stage=Stage.API,
)
SKIPPED = ProbeResult(TARGET, started_at=1_800_000_240.25, outcome=Outcome.SKIPPED)


def stored(target: Target, *results: ProbeResult) -> tuple[StateStore, ServerSeries]:
    store, series = StateStore(history_length=5), ServerSeries()
    store.listen(series)
    store.reconcile([target])
    for result in results:
        store.record(result)
    return store, series


def text_of(series: ServerSeries, form: Format = Format.TEXT, *names: str) -> str:
    return b"".join(series.chunks(form, names)).decode()


def samples_of(series: ServerSeries) -> list[str]:
    return [line for line in text_of(series).splitlines() if not line.startswith("#")]


def expected(text: str) -> list[str]:
    return [line.replace("{OWN", "{" + OWN) for line in text.split("\n") if line]


INFO = (
    'console_server_info{OWN,region="cn-southwest-2",depth="api",rack="r12",team="storage"} 1.0\n'
)


@pytest.mark.parametrize(
    ("results", "lines"),
    [
        pytest.param(
            [],
            INFO
            + """
console_probe_consecutive_failures{OWN} 0.0
console_probe_verdicts_total{OWN} 0.0
console_probe_failures_total{OWN} 0.0
console_probe_throttled_total{OWN} 0.0
""",
            id="only counters before the first probe",
        ),
        pytest.param(
            [SUCCESS],
            INFO
            + """
console_probe_success{OWN} 1.0
console_probe_outcome{OWN,outcome="success",stage=""} 1.0
console_probe_duration_seconds{OWN} 0.125
console_probe_stage_duration_seconds{OWN,stage="api"} 0.125
console_probe_http_status_code{OWN} 200.0
console_probe_consecutive_failures{OWN} 0.0
console_probe_last_attempt_timestamp_seconds{OWN} 1800000000.25
console_probe_last_verdict_timestamp_seconds{OWN} 1800000000.25
console_probe_last_success_timestamp_seconds{OWN} 1800000000.25
console_probe_verdicts_total{OWN} 1.0
console_probe_failures_total{OWN} 0.0
console_probe_throttled_total{OWN} 0.0
""",
            id="success has all series",
        ),
        pytest.param(
            [DEEP_FAILURE],
            INFO
            + """
console_probe_success{OWN} 0.0
console_probe_outcome{OWN,outcome="websocket_rejected",stage="websocket"} 1.0
console_probe_duration_seconds{OWN} 0.875
console_probe_stage_duration_seconds{OWN,stage="api"} 0.125
console_probe_stage_duration_seconds{OWN,stage="page"} 0.25
console_probe_stage_duration_seconds{OWN,stage="websocket"} 0.5
console_probe_http_status_code{OWN} 200.0
console_probe_consecutive_failures{OWN} 1.0
console_probe_last_attempt_timestamp_seconds{OWN} 1800000060.25
console_probe_last_verdict_timestamp_seconds{OWN} 1800000060.25
console_probe_verdicts_total{OWN} 1.0
console_probe_failures_total{OWN} 1.0
console_probe_throttled_total{OWN} 0.0
""",
            id="failure has each stage that ran and no last success",
        ),
        pytest.param(
            [SUCCESS, THROTTLED],
            INFO
            + """
console_probe_success{OWN} 1.0
console_probe_outcome{OWN,outcome="throttled",stage="api"} 1.0
console_probe_duration_seconds{OWN} 0.0625
console_probe_stage_duration_seconds{OWN,stage="api"} 0.0625
console_probe_http_status_code{OWN} 429.0
console_probe_consecutive_failures{OWN} 0.0
console_probe_last_attempt_timestamp_seconds{OWN} 1800000120.25
console_probe_last_verdict_timestamp_seconds{OWN} 1800000000.25
console_probe_last_success_timestamp_seconds{OWN} 1800000000.25
console_probe_verdicts_total{OWN} 1.0
console_probe_failures_total{OWN} 0.0
console_probe_throttled_total{OWN} 1.0
""",
            id="throttled probe does not change the verdict",
        ),
        pytest.param(
            [NO_LOGIN],
            INFO
            + """
console_probe_outcome{OWN,outcome="unauthorized",stage="api"} 1.0
console_probe_http_status_code{OWN} 0.0
console_probe_consecutive_failures{OWN} 0.0
console_probe_last_attempt_timestamp_seconds{OWN} 1800000180.25
console_probe_verdicts_total{OWN} 0.0
console_probe_failures_total{OWN} 0.0
console_probe_throttled_total{OWN} 0.0
""",
            id="attempt without a stage has no duration",
        ),
        pytest.param(
            [SKIPPED],
            INFO
            + """
console_probe_outcome{OWN,outcome="skipped",stage=""} 1.0
console_probe_consecutive_failures{OWN} 0.0
console_probe_verdicts_total{OWN} 0.0
console_probe_failures_total{OWN} 0.0
console_probe_throttled_total{OWN} 0.0
""",
            id="skipped probe is not an attempt",
        ),
        pytest.param(
            [SUCCESS, SKIPPED],
            INFO
            + """
console_probe_success{OWN} 1.0
console_probe_outcome{OWN,outcome="skipped",stage=""} 1.0
console_probe_duration_seconds{OWN} 0.125
console_probe_stage_duration_seconds{OWN,stage="api"} 0.125
console_probe_http_status_code{OWN} 200.0
console_probe_consecutive_failures{OWN} 0.0
console_probe_last_attempt_timestamp_seconds{OWN} 1800000000.25
console_probe_last_verdict_timestamp_seconds{OWN} 1800000000.25
console_probe_last_success_timestamp_seconds{OWN} 1800000000.25
console_probe_verdicts_total{OWN} 1.0
console_probe_failures_total{OWN} 0.0
console_probe_throttled_total{OWN} 0.0
""",
            id="skipped probe changes only the outcome",
        ),
    ],
)
def test_samples_of_a_server(results: list[ProbeResult], lines: str) -> None:
    _, series = stored(TARGET, *results)
    assert samples_of(series) == expected(lines)


def test_help_and_type_lines_follow_each_format() -> None:
    _, series = stored(TARGET, SUCCESS)
    sample = f"console_probe_failures_total{{{OWN}}} 0.0\n"
    help_text = "Conclusive probes that failed.\n"
    assert text_of(series, Format.TEXT, "console_probe_failures_total") == (
        f"# HELP console_probe_failures_total {help_text}"
        "# TYPE console_probe_failures_total counter\n" + sample
    )
    assert text_of(series, Format.OPENMETRICS, "console_probe_failures_total") == (
        f"# HELP console_probe_failures {help_text}# TYPE console_probe_failures counter\n" + sample
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('say "hi"', r"say \"hi\""),
        ("back\\slash", r"back\\slash"),
        ("two\nlines", r"two\nlines"),
        ('\\n"', r"\\n\""),
        ("机房-一号", "机房-一号"),
        ("🖥", "🖥"),
        ("half \ud83d pair", "half ? pair"),
        ("a,b}{c=d #", "a,b}{c=d #"),
        ("", ""),
    ],
)
def test_label_values_are_escaped(name: str, shown: str) -> None:
    _, series = stored(replace(TARGET, name=name))
    line = samples_of(series)[1]
    assert line == (
        'console_probe_consecutive_failures{project="southwest",server_id="id-1",'
        f'server="{shown}"}} 0.0'
    )


def test_configured_labels_do_not_duplicate_built_in_ones() -> None:
    _, series = stored(replace(TARGET, labels=(("region", "theirs"), ("server", "theirs"))))
    assert samples_of(series)[0] == (
        f'console_server_info{{{OWN},region="cn-southwest-2",depth="api"}} 1.0'
    )


def test_changed_attributes_appear_in_every_series_at_once() -> None:
    store, series = stored(TARGET, SUCCESS)
    store.reconcile([replace(TARGET, name="db-99", labels=())])
    lines = samples_of(series)
    assert len(lines) == 13
    assert all('server="db-99"' in line for line in lines)
    assert "rack" not in text_of(series)


def test_removed_server_has_no_series() -> None:
    store, series = stored(TARGET, SUCCESS)
    store.reconcile([])
    assert samples_of(series) == []


def test_removed_server_leaves_no_objects_in_memory() -> None:
    class Name(str):
        """A string that supports weak references."""

        __slots__ = ("__weakref__",)

    name = Name("db-01")
    reference = weakref.ref(name)
    target = replace(TARGET, name=name)
    store, series = stored(target, replace(SUCCESS, target=target))
    del name, target
    assert reference() is not None
    store.reconcile([])
    gc.collect()
    assert reference() is None
    assert samples_of(series) == []


def test_scrape_shows_the_state_at_its_start() -> None:
    store, series = stored(TARGET, SUCCESS)
    before = text_of(series)
    chunks = series.chunks(Format.TEXT, ())
    first = next(chunks)
    store.record(DEEP_FAILURE)
    store.reconcile([])
    assert (first + b"".join(chunks)).decode() == before


def test_chunks_of_a_large_fleet_are_limited() -> None:
    store, series = StateStore(history_length=1), ServerSeries()
    store.listen(series)
    store.reconcile(
        replace(TARGET, key=TargetKey("southwest", f"id-{number}")) for number in range(10_001)
    )
    pieces = list(series.chunks(Format.TEXT, ["console_server_info"]))
    assert [piece.count(b"\n") for piece in pieces] == [5002, 5000, 1]
    assert b"".join(pieces).count(b"server_id=") == 10_001
