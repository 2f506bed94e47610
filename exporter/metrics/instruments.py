"""All metrics but the per-server ones, on a registry of our own."""

import platform
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from exporter.metrics import catalog
from exporter.metrics.project_instruments import (
    ProjectFamilies,
    ProjectInstruments,
    ProjectReadings,
)
from exporter.metrics.registered import PulledGauges, Reading, counter, gauge, histogram

_HASH_BYTES = 6


@dataclass(frozen=True, slots=True)
class ExporterReadings:
    """What is asked of the exporter's parts at each scrape; ``event_loop_lag`` is seconds."""

    targets: Reading
    overdue_servers: Reading
    event_loop_lag: Reading


class Instruments:
    """The exporter's own metrics, and each project's. Durations are seconds."""

    def __init__(self, version: str, readings: ExporterReadings) -> None:
        """Register everything on a new registry; ``version`` is the exporter's."""
        # Of no use to Prometheus without an experimental feature, and a third of the series.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._projects: dict[str, ProjectInstruments] = {}
        self._families = ProjectFamilies(registry)
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
            (
                catalog.CONFIG_RELOAD_SUCCESS_TIME,
                catalog.CONFIG_HASH,
                catalog.TARGETS,
                catalog.SCHEDULER_OVERDUE,
                catalog.EVENT_LOOP_LAG,
            ),
            registry,
        )
        self._pulled.pull(catalog.TARGETS, readings.targets)
        self._pulled.pull(catalog.SCHEDULER_OVERDUE, readings.overdue_servers)
        self._pulled.pull(catalog.EVENT_LOOP_LAG, readings.event_loop_lag)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def add_project(self, name: str, readings: ProjectReadings) -> ProjectInstruments:
        """Show a project's series and return what to tell its events to.

        A project that is there already keeps its counts and takes the new readings.
        """
        instruments = self._projects.get(name)
        if instruments is None:
            instruments = self._projects[name] = ProjectInstruments(name, self._families)
        self._families.pull(name, readings)
        return instruments

    def remove_project(self, name: str) -> None:
        """Drop a project's series; a name that is not there is no fault."""
        instruments = self._projects.pop(name, None)
        if instruments is not None:
            instruments.remove()

    def sharded(self, index: int, count: int) -> None:
        """Note which of ``count`` shards this exporter is."""
        self._shard_info.labels(index, count).set(1)

    def config_loaded(self, sha256: bytes, at: float) -> None:
        """Note that a configuration with this digest took effect at Unix time ``at``."""
        low_bits = int.from_bytes(sha256[-_HASH_BYTES:], "big")
        self._reload_successful.set(1)
        self._pulled.pull(catalog.CONFIG_RELOAD_SUCCESS_TIME, lambda: at)
        self._pulled.pull(catalog.CONFIG_HASH, lambda: low_bits)

    def config_refused(self) -> None:
        """Note that a configuration could not be loaded."""
        self._reload_successful.set(0)

    def probe_due(self, lateness: float) -> None:
        """Note that a probe was started ``lateness`` seconds after it was due."""
        self._lateness.observe(lateness)

    def probes_missed(self, slots: int) -> None:
        """Note slots in which no probe was made."""
        self._missed.inc(slots)

    def scraped(self, seconds: float) -> None:
        """Note how long a scrape took to answer."""
        self._scrape_duration.observe(seconds)

    def logged(self, level: str) -> None:
        """Note a log message; a level that is none of the five counts as an error."""
        self._log_messages.get(level, self._log_messages["error"]).inc()

    def log_lost(self) -> None:
        """Note a log message that could not be written; may be called from any thread."""
        self._log_messages_lost.inc()
