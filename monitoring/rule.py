"""Recording rules, alerts and selectors, independent of the file format."""

from dataclasses import dataclass

from exporter.metrics.catalog import Metric
from monitoring.parameters import Parameters

INCONCLUSIVE = (
    "throttled",
    "unauthorized",
    "forbidden",
    "unreachable",
    "wrong_endpoint",
    "skipped",
    "busy",
    "internal_error",
)
"""Outcomes that do not say whether the console works."""

# Negative matchers, so that a new outcome counts as a failure without a change here.
VERDICT = f'outcome!~"{"|".join(INCONCLUSIVE)}"'
FAILURE = f'outcome!~"success|{"|".join(INCONCLUSIVE)}"'

SERVER = "on (job, instance, project, server_id, server)"
"""Matches the series of one server; ids may repeat across projects and exporters."""

EXPORTER = "on (job, instance)"
"""Matches the series of one exporter."""

PROJECT = ("job", "project")
INSTANCE = ("job", "instance")
"""Dashboard variables of an alert: a project of all exporters, or one exporter."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A rule that records the result of a query as new series."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A rule that raises an alert for each series in the result of a query.

    ``for_seconds`` and ``keep_firing_seconds`` are the `for` and `keep_firing_for` of the rule.
    ``scope`` are the labels that become variables in the URL of the dashboard.
    """

    name: str
    severity: str
    expr: str
    summary: str
    description: str
    dashboard: str
    scope: tuple[str, ...]
    for_seconds: float = 0.0
    keep_firing_seconds: float = 0.0
    labels: tuple[tuple[str, str], ...] = ()


def selected(metric: Metric, parameters: Parameters, *matchers: str) -> str:
    """Return the selector of a metric, restricted to the job of the rules."""
    return _series(metric.name, parameters, matchers)


def buckets(metric: Metric, parameters: Parameters) -> str:
    """Return the selector of the buckets of a histogram."""
    return _series(f"{metric.name}_bucket", parameters, ())


def up(parameters: Parameters) -> str:
    """Return the selector of ``up``: 1 if Prometheus could scrape the exporter."""
    return _series("up", parameters, ())


def _series(name: str, parameters: Parameters, matchers: tuple[str, ...]) -> str:
    return f"{name}{{{', '.join((parameters.selector, *matchers))}}}"
