"""Expose the state of each project's throttle, login and API, which is read at each scrape."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.metrics import catalog
from exporter.metrics.registered import gauge_family
from exporter.model import ProjectStatus

_VALUES: dict[catalog.Metric, Callable[[ProjectStatus], float | None]] = {
    catalog.API_REACHABLE: lambda status: status.api_reachable,
    catalog.THROTTLE_LIMIT: lambda status: status.limit,
    catalog.THROTTLE_CEILING: lambda status: status.ceiling,
    catalog.THROTTLE_QUEUE_LENGTH: lambda status: status.queue_length,
    catalog.THROTTLE_RESUME: lambda status: status.resume_at or 0.0,
    catalog.AUTH_TOKEN_EXPIRY: lambda status: status.login_expires_at,
}


class ProjectGauges(Collector):
    """Collects the gauges of all projects from the statuses that ``projects`` returns."""

    def __init__(
        self, projects: Callable[[], Iterable[ProjectStatus]], registry: CollectorRegistry
    ) -> None:
        self._projects = projects
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families with the values that are known now."""
        statuses = list(self._projects())
        for metric, value_of in _VALUES.items():
            values = [((status.name,), value_of(status)) for status in statuses]
            yield gauge_family(metric, values)
