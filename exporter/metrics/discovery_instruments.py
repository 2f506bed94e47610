"""Record the number of servers, refreshes and failed refreshes of each source of a project."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry

from exporter.metrics import catalog
from exporter.metrics.registered import counter, gauge

# The servers of the configuration file itself change only with a reload.
_WITHOUT_REFRESH = "static"


class DiscoveryFamilies:
    """The discovery metrics, shared by all projects."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.servers = gauge(catalog.DISCOVERY_SERVERS, registry)
        self.refreshes = counter(catalog.DISCOVERY_REFRESHES, registry)
        self.failures = counter(catalog.DISCOVERY_FAILURES, registry)
        self.last_success = gauge(catalog.DISCOVERY_LAST_SUCCESS, registry)
        self._set = (self.servers, self.refreshes, self.failures, self.last_success)

    def remove(self, **labels: str) -> None:
        """Remove every series with these labels."""
        for family in self._set:
            family.remove_by_labels(labels)


class DiscoveryInstruments:
    """Record the discovery events of one project. Times are Unix time.

    There are no series until `show` is called.
    """

    def __init__(self, project: str, families: DiscoveryFamilies) -> None:
        self._project = project
        self._families = families
        self._shown: set[str] = set()

    def show(self, sources: Collection[str]) -> None:
        """Expose the series of these sources only; new ones start at zero."""
        for source in self._shown - set(sources):
            self._families.remove(project=self._project, source=source)
        for source in set(sources) - self._shown:
            self._families.servers.labels(self._project, source)
            if source != _WITHOUT_REFRESH:
                self._families.refreshes.labels(self._project, source)
                self._families.failures.labels(self._project, source)
                self._families.last_success.labels(self._project, source)
        self._shown = set(sources)

    def discovered(self, source: str, servers: int) -> None:
        """Record the number of servers that a source lists."""
        if source in self._shown:
            self._families.servers.labels(self._project, source).set(servers)

    def refreshed(self, source: str, at: float) -> None:
        """Record a successful refresh of a source."""
        if source in self._shown:
            self._families.refreshes.labels(self._project, source).inc()
            self.current(source, at)

    def current(self, source: str, at: float) -> None:
        """Record that a source is unchanged since it was last read."""
        if source in self._shown:
            self._families.last_success.labels(self._project, source).set(at)

    def refresh_failed(self, source: str) -> None:
        """Record a failed refresh of a source."""
        if source in self._shown:
            self._families.failures.labels(self._project, source).inc()
