"""Build PromQL for the dashboards: metrics of the catalog, filtered by dashboard variables.

Selectors filter by job and instance, except recorded series and ``ALERTS``, which have no instance.
"""

from collections.abc import Callable, Sequence

from exporter.metrics.catalog import Kind, Metric, Scope

RATE = "$__rate_interval"
RANGE = "$__range"

_EXPORTER = ('job=~"$job"', 'instance=~"$instance"')
_PROJECT = ('project=~"$project"',)
_MATCHERS = {
    Scope.EXPORTER: _EXPORTER,
    Scope.PROJECT: (*_EXPORTER, *_PROJECT),
    Scope.SERVER: (*_EXPORTER, *_PROJECT, 'server=~"$servers"'),
}
# Several servers of a project may have the same name, but not the same id.
_SELECTED_SERVER = (*_EXPORTER, 'project="$project"', 'server_id="$server_id"')

# The labels that identify a server; two exporters may probe servers of the same project.
SERVER = "job, instance, project, server_id"


def select(metric: Metric, *matchers: str) -> str:
    """Return the selector of a gauge or counter, filtered by the variables."""
    if metric.kind is Kind.HISTOGRAM:
        raise ValueError(f"{metric.name} is a histogram: select its buckets, sum or count")
    return selector(metric.name, *_MATCHERS[metric.scope], *matchers)


def of_selected_server(metric: Metric, *matchers: str) -> str:
    """Return the selector of a metric of the server that the Server dashboard shows."""
    if metric.scope is not Scope.SERVER:
        raise ValueError(f"{metric.name} has no series per server")
    return selector(metric.name, *_SELECTED_SERVER, *matchers)


def own(name: str, *matchers: str) -> str:
    """Return the selector of a metric that is not in the catalog: ``up``, ``process_…``."""
    return selector(name, *_EXPORTER, *matchers)


def of_broken_servers(metric: Metric) -> str:
    """Return the selector of a metric of the servers in the hidden variable ``broken``."""
    return selector(metric.name, *_EXPORTER, *_PROJECT, 'server_id=~"$broken"')


def recorded(name: str, *matchers: str) -> str:
    """Return the selector of a recorded series, filtered by job and project."""
    return selector(name, 'job=~"$job"', *_PROJECT, *matchers)


def firing(*matchers: str) -> str:
    """Return the selector of firing alerts of the selected projects or without a project."""
    return selector(
        "ALERTS",
        'job=~"$job"',
        'project=~"$project|"',
        'alertname=~"Console.+"',
        'alertstate="firing"',
        *matchers,
    )


def selector(name: str, *matchers: str) -> str:
    """Return a selector of a name and matchers."""
    return f"{name}{{{', '.join(matchers)}}}"


def rate(metric: Metric, *matchers: str) -> str:
    """Return the increase per second of a counter."""
    return f"rate({select(metric, *matchers)}[{RATE}])"


def increase(metric: Metric, *matchers: str) -> str:
    """Return the increase of a counter between two points of a graph."""
    return f"increase({select(metric, *matchers)}[{RATE}])"


def total(expression: str, *labels: str) -> str:
    """Return the sum by some labels."""
    by = f" by ({', '.join(labels)}) " if labels else ""
    return f"sum{by}({expression})"


def bucket_rate(metric: Metric, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return the observations per second in each bucket, by ``le`` and other labels."""
    return total(f"rate({_part(metric, '_bucket', *matchers)}[{RATE}])", "le", *by)


def bucket_increase(metric: Metric, *matchers: str) -> str:
    """Return the number of observations in each bucket, for a heatmap."""
    return total(f"increase({_part(metric, '_bucket', *matchers)}[{RATE}])", "le")


def quantile(share: float, metric: Metric, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return an estimated quantile of a histogram."""
    return f"histogram_quantile({share:g}, {bucket_rate(metric, *matchers, by=by)})"


def mean(metric: Metric, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return the mean of a histogram."""
    seconds, count = (
        total(f"rate({_part(metric, suffix, *matchers)}[{RATE}])", *by)
        for suffix in ("_sum", "_count")
    )
    return f"{seconds} / {count}"


def numbered(label: str, values: Sequence[str], of: Callable[[str], str]) -> str:
    """Return the index of a label value in a fixed list, for a state timeline.

    ``of`` returns the selector for a matcher of one value.
    """
    matchers = [f'{label}="{value}"' for value in values]
    indexes = (f"{of(matcher)} * {index}" for index, matcher in enumerate(matchers))
    return f"max by (project, server) ({' or '.join(indexes)})"


def or_zero(expression: str, otherwise: str) -> str:
    """Return 0 if the expression has no result but ``otherwise`` has one."""
    return f"{expression} or {otherwise} * 0"


def _part(metric: Metric, suffix: str, *matchers: str) -> str:
    if metric.kind is not Kind.HISTOGRAM:
        raise ValueError(f"{metric.name} is not a histogram")
    return selector(metric.name + suffix, *_MATCHERS[metric.scope], *matchers)
