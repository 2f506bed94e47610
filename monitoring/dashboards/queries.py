"""PromQL of the dashboards: selectors from the catalog, filtered by the dashboard's variables.

Every selector carries the job and the instance that were picked. The exceptions have no instance:
recorded rules, which count over all instances, and Prometheus' own series of alerts.
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
# A name may be given to several servers of a project, an id to one.
_PICKED = (*_EXPORTER, 'project="$project"', 'server_id="$server_id"')

# What identifies a server's series; two exporters may hold servers of the same project.
SERVER = "job, instance, project, server_id"


def select(metric: Metric, *matchers: str) -> str:
    """Return the selector of a gauge's or a counter's series that the variables pick."""
    if metric.kind is Kind.HISTOGRAM:
        raise ValueError(f"{metric.name} is a histogram: select its buckets, sum or count")
    return selector(metric.name, *_MATCHERS[metric.scope], *matchers)


def picked(metric: Metric, *matchers: str) -> str:
    """Return the selector of the one server that the Server dashboard shows."""
    if metric.scope is not Scope.SERVER:
        raise ValueError(f"{metric.name} has no series per server")
    return selector(metric.name, *_PICKED, *matchers)


def own(name: str, *matchers: str) -> str:
    """Return the selector of a series that is in no catalog of ours: ``up``, ``process_…``."""
    return selector(name, *_EXPORTER, *matchers)


def found_broken(metric: Metric) -> str:
    """Return the selector of the servers that the hidden variable ``broken`` has found."""
    return selector(metric.name, *_EXPORTER, *_PROJECT, 'server_id=~"$broken"')


def recorded(name: str, *matchers: str) -> str:
    """Return the selector of a recorded rule, which has a job and a project."""
    return selector(name, 'job=~"$job"', *_PROJECT, *matchers)


def firing(*matchers: str) -> str:
    """Return the selector of our alerts that fire, of the projects picked or of no project."""
    return selector(
        "ALERTS",
        'job=~"$job"',
        'project=~"$project|"',
        'alertname=~"Console.+"',
        'alertstate="firing"',
        *matchers,
    )


def selector(name: str, *matchers: str) -> str:
    """Write a selector."""
    return f"{name}{{{', '.join(matchers)}}}"


def rate(metric: Metric, *matchers: str) -> str:
    """Return a counter's increase a second."""
    return f"rate({select(metric, *matchers)}[{RATE}])"


def increase(metric: Metric, *matchers: str) -> str:
    """Return a counter's increase from one point of a graph to the next."""
    return f"increase({select(metric, *matchers)}[{RATE}])"


def total(expression: str, *labels: str) -> str:
    """Sum by some labels."""
    by = f" by ({', '.join(labels)}) " if labels else ""
    return f"sum{by}({expression})"


def bucket_rate(metric: Metric, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return how many observations a second fell into each bucket, by ``le`` and other labels."""
    return total(f"rate({_part(metric, '_bucket', *matchers)}[{RATE}])", "le", *by)


def bucket_increase(metric: Metric, *matchers: str) -> str:
    """Return how many observations fell into each bucket, for a heatmap."""
    return total(f"increase({_part(metric, '_bucket', *matchers)}[{RATE}])", "le")


def quantile(share: float, metric: Metric, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Estimate a quantile of a histogram."""
    return f"histogram_quantile({share:g}, {bucket_rate(metric, *matchers, by=by)})"


def mean(metric: Metric, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return a histogram's mean."""
    seconds, count = (
        total(f"rate({_part(metric, suffix, *matchers)}[{RATE}])", *by)
        for suffix in ("_sum", "_count")
    )
    return f"{seconds} / {count}"


def numbered(label: str, values: Sequence[str], of: Callable[[str], str]) -> str:
    """Turn a label into a number that a timeline can draw: the value's place in a closed list.

    ``of`` makes the selector of one value's series.
    """
    matchers = [f'{label}="{value}"' for value in values]
    places = (f"{of(matcher)} * {place}" for place, matcher in enumerate(matchers))
    return f"max by (project, server) ({' or '.join(places)})"


def or_zero(expression: str, otherwise: str) -> str:
    """Return 0 where the first has nothing and the other has: no data stays no data."""
    return f"{expression} or {otherwise} * 0"


def _part(metric: Metric, suffix: str, *matchers: str) -> str:
    if metric.kind is not Kind.HISTOGRAM:
        raise ValueError(f"{metric.name} is no histogram")
    return selector(metric.name + suffix, *_MATCHERS[metric.scope], *matchers)
