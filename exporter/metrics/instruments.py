"""Record all metrics except the per-server ones, on a separate registry."""

import platform
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from exporter.metrics import catalog
from exporter.metrics.project_gauges import ProjectGauges
from exporter.metrics.project_instruments import ProjectFamilies, ProjectInstruments
from exporter.metrics.registered import PulledGauges, Reading, counter, gauge, histogram
from exporter.model import ProjectStatus

_HASH_BYTES = 6


class Instruments:
    """The metrics of the exporter and of each project, on a new registry.

    ``version`` is the version of the exporter. The callables are called at each scrape. Durations
    are seconds.
    """

    def __init__(
        self,
        version: str,
        *,
        projects: Callable[[], Iterable[ProjectStatus]],
        targets: Reading,
        overdue_servers: Reading,
        event_loop_lag: Reading,
    ) -> None:
        # Prometheus ignores these without an experimental feature; they are a third of all series.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._projects: dict[str, ProjectInstruments] = {}
        self._families = ProjectFamilies(registry)
        ProjectGauges(projects, registry)
        build_info = gauge(catalog.BUILD_INFO, registry)
        build_info.labels(version, platform.python_version()).set(1)
        self._shard_info = gauge(catalog.SHARD_INFO, registry)
        self._reload_successful = gauge(catalog.CONFIG_RELOAD_SUCCESSFUL, registry)
        self._lateness = histogram(catalog.SCHEDULER_LATENESS, registry)
        self._missed = counter(catalog.SCHEDULER_MISSED, registry)
        self._scrape_duration = histogram(catalog.SCRAPE_DURATION, registry)
        log_messages = counter(catalog.LOG_MESSAGES, registry)
        self._log_messages = {level: log_messages.labels(level) for level in catalog.LOG_LEVELS}
        self._log_messages_lost = counter(catalog.LOG_MESSAGES_LOST, registry)
        self._pulled = PulledGauges(
            {
                catalog.CONFIG_RELOAD_SUCCESS_TIME: lambda: None,
                catalog.CONFIG_HASH: lambda: None,
                catalog.TARGETS: targets,
                catalog.SCHEDULER_OVERDUE: overdue_servers,
                catalog.EVENT_LOOP_LAG: event_loop_lag,
            },
            registry,
        )
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def add_project(self, name: str) -> ProjectInstruments:
        """Expose the series of a project and return the object that records its events.

        If the project exists, its counters stay.
        """
        instruments = self._projects.get(name)
        if instruments is None:
            instruments = self._projects[name] = ProjectInstruments(name, self._families)
        return instruments

    def project(self, name: str) -> ProjectInstruments:
        """Return the object that records the events of a project that was added."""
        return self._projects[name]

    def remove_project(self, name: str) -> None:
        """Remove the series of a project; an unknown name is ignored."""
        instruments = self._projects.pop(name, None)
        if instruments is not None:
            instruments.remove()

    def sharded(self, index: int, count: int) -> None:
        """Record the shard of this exporter: ``index`` of ``count``."""
        self._shard_info.labels(index, count).set(1)

    def config_loaded(self, sha256: bytes, at: float) -> None:
        """Record that a configuration with this digest was activated at Unix time ``at``."""
        low_bits = int.from_bytes(sha256[-_HASH_BYTES:], "big")
        self._reload_successful.set(1)
        self._pulled.pull(catalog.CONFIG_RELOAD_SUCCESS_TIME, lambda: at)
        self._pulled.pull(catalog.CONFIG_HASH, lambda: low_bits)

    def config_refused(self) -> None:
        """Record that a configuration could not be loaded."""
        self._reload_successful.set(0)

    def probe_due(self, lateness: float) -> None:
        """Record that a probe started ``lateness`` seconds after its scheduled time."""
        self._lateness.observe(lateness)

    def probes_missed(self, slots: int) -> None:
        """Record scheduled probes that were not made."""
        self._missed.inc(slots)

    def scraped(self, seconds: float) -> None:
        """Record the duration of a scrape."""
        self._scrape_duration.observe(seconds)

    def logged(self, level: str) -> None:
        """Count a log message; an unknown level counts as an error."""
        self._log_messages.get(level, self._log_messages["error"]).inc()

    def log_lost(self) -> None:
        """Count a log message that could not be written; may be called from any thread."""
        self._log_messages_lost.inc()
