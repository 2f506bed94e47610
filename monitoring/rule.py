"""What rules are made of, before they are written to files."""

from dataclasses import dataclass

from exporter.metrics.catalog import Metric
from monitoring.parameters import Parameters

INCONCLUSIVE = ("throttled", "unauthorized", "forbidden", "skipped", "internal_error")
"""The outcomes that are no evidence of a console's state."""

# Excluding, so that an outcome that is new counts as a failure without a change here.
VERDICT = f'outcome!~"{"|".join(INCONCLUSIVE)}"'
FAILURE = f'outcome!~"success|{"|".join(INCONCLUSIVE)}"'

SERVER = "on (job, instance, project, server_id, server)"
"""How one server's series find each other: ids may repeat across projects and exporters."""

EXPORTER = "on (job, instance)"
"""How the series of one exporter find each other."""

PROJECT = ("job", "project")
INSTANCE = ("job", "instance")
"""What a dashboard is opened with: a project of all exporters, or one exporter."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A rule that records the result of a query as new series."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A rule that raises an alert for each series in the result of a query.

    ``wait`` and ``keep`` are seconds: how long the condition must hold first, and how long the
    alert stays when it holds no more. ``scope`` are the labels of the result that the dashboard is
    opened with.
    """

    name: str
    severity: str
    expr: str
    summary: str
    description: str
    dashboard: str
    scope: tuple[str, ...]
    wait: float = 0.0
    keep: float = 0.0
    labels: tuple[tuple[str, str], ...] = ()


def selected(metric: Metric, parameters: Parameters, *matchers: str) -> str:
    """Return the selector of a metric's series at the exporters that the rules are for."""
    return _series(metric.name, parameters, matchers)


def buckets(metric: Metric, parameters: Parameters) -> str:
    """Return the selector of a histogram's buckets."""
    return _series(f"{metric.name}_bucket", parameters, ())


def up(parameters: Parameters) -> str:
    """Return the selector of what Prometheus itself says of each exporter: 1 when scraped."""
    return _series("up", parameters, ())


def _series(name: str, parameters: Parameters, matchers: tuple[str, ...]) -> str:
    return f"{name}{{{', '.join((parameters.selector, *matchers))}}}"
