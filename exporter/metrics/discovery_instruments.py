"""The metrics of one project's sources of servers; none for a source that it does not have."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry

from exporter.metrics import catalog
from exporter.metrics.registered import counter, gauge

_NEVER_READ_AGAIN = "static"


class DiscoveryFamilies:
    """The metrics by source, each shared by all projects."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them, with no project yet."""
        self.servers = gauge(catalog.DISCOVERY_SERVERS, registry)
        self.refreshes = counter(catalog.DISCOVERY_REFRESHES, registry)
        self.failures = counter(catalog.DISCOVERY_FAILURES, registry)
        self.last_success = gauge(catalog.DISCOVERY_LAST_SUCCESS, registry)
        self._set = (self.servers, self.refreshes, self.failures, self.last_success)

    def remove(self, **labels: str) -> None:
        """Drop every series with these labels."""
        for family in self._set:
            family.remove_by_labels(labels)


class DiscoveryInstruments:
    """What the sources of one project yield, counted. Points in time are Unix time."""

    def __init__(self, project: str, families: DiscoveryFamilies) -> None:
        """Show nothing yet; see `show`."""
        self._project = project
        self._families = families
        self._shown: set[str] = set()

    def show(self, sources: Collection[str]) -> None:
        """Show the series of these sources, new ones at zero, and no others."""
        for source in self._shown - set(sources):
            self._families.remove(project=self._project, source=source)
        for source in set(sources) - self._shown:
            self._families.servers.labels(self._project, source)
            if source != _NEVER_READ_AGAIN:
                self._families.refreshes.labels(self._project, source)
                self._families.failures.labels(self._project, source)
                self._families.last_success.labels(self._project, source)
        self._shown = set(sources)

    def discovered(self, source: str, servers: int) -> None:
        """Note how many servers a source yields."""
        if source in self._shown:
            self._families.servers.labels(self._project, source).set(servers)

    def refreshed(self, source: str, at: float) -> None:
        """Note that a source was read again."""
        if source in self._shown:
            self._families.refreshes.labels(self._project, source).inc()
            self.current(source, at)

    def current(self, source: str, at: float) -> None:
        """Note that a source has not changed since it was read."""
        if source in self._shown:
            self._families.last_success.labels(self._project, source).set(at)

    def refresh_failed(self, source: str) -> None:
        """Note that a source could not be read."""
        if source in self._shown:
            self._families.failures.labels(self._project, source).inc()
