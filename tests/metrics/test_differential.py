"""The rendered text equals the exposition of prometheus-client for the same results."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from exporter.metrics import catalog
from exporter.metrics.catalog import PER_SERVER, Kind
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import Format
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome, Verdict
from exporter.state import StateStore

Samples = dict[str, list[tuple[dict[str, str], float]]]

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.text('\\"\n{},=# ab', max_size=12)
seconds = st.floats(min_value=0, max_value=1e9, allow_nan=False)
instants = st.floats(min_value=0, max_value=1e10, allow_nan=False)
label_names = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    return Target(
        TargetKey(draw(texts), draw(st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True))),
        name=draw(texts),
        region=draw(texts),
        interval=60.0,
        timeout=10.0,
        depth=draw(st.sampled_from(Stage)),
        labels=tuple(sorted(draw(st.dictionaries(label_names, texts, max_size=3)).items())),
    )


@st.composite
def results(draw: st.DrawFn, target: Target) -> ProbeResult:
    outcome = draw(st.sampled_from(Outcome))
    ran = list(Stage)[: draw(st.integers(0, len(Stage)))]
    return ProbeResult(
        target,
        started_at=draw(instants),
        outcome=outcome,
        failed_stage=None if outcome is Outcome.SUCCESS else draw(st.sampled_from(Stage)),
        status_code=draw(st.sampled_from([0, 200, 404, 429, 503])),
        stages=tuple(StageTiming(stage, draw(seconds), passed=True) for stage in ran),
    )


@st.composite
def fleets(draw: st.DrawFn) -> dict[Target, list[ProbeResult]]:
    fleet = draw(st.lists(targets(), max_size=3, unique_by=lambda target: target.key))
    return {target: draw(st.lists(results(target), max_size=4)) for target in fleet}


def last_of(found: Iterable[ProbeResult]) -> ProbeResult | None:
    return next(iter(reversed(list(found))), None)


def samples_of(target: Target, seen: list[ProbeResult]) -> Samples:
    """Compute the expected samples of each family from the whole list of results."""
    samples: Samples = {metric.name: [] for metric in PER_SERVER}

    def add(metric: catalog.Metric, value: float, **labels: str) -> None:
        samples[metric.name].append((labels, value))

    free = {name: text for name, text in target.labels if name not in catalog.SERVER_INFO.labels}
    add(catalog.SERVER_INFO, 1, region=target.region, depth=target.depth, **free)
    last = last_of(seen)
    attempt = last_of(r for r in seen if r.outcome is not Outcome.SKIPPED)
    conclusive = [r for r in seen if r.verdict is not Verdict.INCONCLUSIVE]
    success = last_of(r for r in seen if r.outcome is Outcome.SUCCESS)
    failures = [r for r in conclusive if r.outcome is not Outcome.SUCCESS]
    if last:
        add(catalog.PROBE_OUTCOME, 1, outcome=last.outcome, stage=last.failed_stage or "")
    if attempt:
        add(catalog.PROBE_STATUS_CODE, attempt.status_code)
        add(catalog.PROBE_LAST_ATTEMPT, attempt.started_at)
        if attempt.stages:
            add(catalog.PROBE_DURATION, sum(timing.seconds for timing in attempt.stages))
        for timing in attempt.stages:
            add(catalog.PROBE_STAGE_DURATION, timing.seconds, stage=timing.stage)
    if conclusive:
        add(catalog.PROBE_SUCCESS, conclusive[-1].outcome is Outcome.SUCCESS)
        add(catalog.PROBE_LAST_VERDICT, conclusive[-1].started_at)
    if success:
        add(catalog.PROBE_LAST_SUCCESS, success.started_at)
    recent = list(takewhile(lambda r: r.outcome is not Outcome.SUCCESS, reversed(conclusive)))
    add(catalog.PROBE_CONSECUTIVE_FAILURES, len(recent))
    add(catalog.PROBE_VERDICTS, len(conclusive))
    add(catalog.PROBE_FAILURES, len(failures))
    add(catalog.PROBE_THROTTLED, sum(r.outcome is Outcome.THROTTLED for r in seen))
    return samples


class Oracle(Collector):
    """Expose the same fleet as metric families of prometheus-client."""

    def __init__(self, fleet: dict[Target, list[ProbeResult]]) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        expected = {target: samples_of(target, seen) for target, seen in self._fleet.items()}
        for metric in PER_SERVER:
            new = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            family: Metric = new(metric.name, metric.help)
            for target, samples in expected.items():
                own = {
                    "project": target.key.project,
                    "server_id": target.key.server_id,
                    "server": target.name,
                }
                for labels, value in samples[metric.name]:
                    family.add_sample(metric.name, own | labels, value)
            yield family


def exposed(fleet: dict[Target, list[ProbeResult]], form: Format) -> str:
    store, series = StateStore(history_length=2), ServerSeries()
    store.listen(series)
    store.reconcile([replace(target, name="before a rename") for target in fleet])
    for seen in fleet.values():
        for result in seen:
            store.record(result)
    store.reconcile(fleet)
    exposition = Exposition(series, CollectorRegistry())
    return b"".join(exposition.chunks(form)).decode()


def parsed(families: Iterable[Metric]) -> Any:
    return [
        (
            family.name,
            family.type,
            family.documentation,
            {(s.name, tuple(sorted(s.labels.items())), s.value) for s in family.samples},
            len(family.samples),
        )
        for family in families
    ]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(fleets())
def test_text_format_equals_prometheus_client(fleet: dict[Target, list[ProbeResult]]) -> None:
    oracle = generate_latest(Oracle(fleet)).decode()
    ours = parsed(parse_text(exposed(fleet, Format.TEXT)))
    assert ours == parsed(parse_text(oracle))
    assert len(ours) == len(PER_SERVER)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(fleets())
def test_openmetrics_equals_prometheus_client(
    fleet: dict[Target, list[ProbeResult]],
) -> None:
    oracle = generate_openmetrics(Oracle(fleet)).decode()  # type: ignore[no-untyped-call]
    ours = parsed(parse_openmetrics(exposed(fleet, Format.OPENMETRICS)))  # type: ignore[no-untyped-call]
    assert ours == parsed(parse_openmetrics(oracle))  # type: ignore[no-untyped-call]
    assert len(ours) == len(PER_SERVER)
