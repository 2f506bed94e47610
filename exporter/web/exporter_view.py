"""The interface between the routes and the running exporter."""

from collections.abc import Sequence
from typing import Protocol

from exporter.metrics.exposition import Exposition
from exporter.model import ProbeResult, ProjectStatus, Target
from exporter.state import StateStore
from exporter.targets.sharding import Shard


class ReloadRefusedError(Exception):
    """The new configuration is invalid; the message lists every error."""


class ExporterView(Protocol):
    """What the routes read from the running exporter, and the actions that they can trigger."""

    state: StateStore
    exposition: Exposition
    shard: Shard
    version: str

    def clock_time(self) -> float:
        """Return Unix time in seconds."""

    def projects(self) -> Sequence[ProjectStatus]:
        """Return the status of each project."""

    def elsewhere(self) -> Sequence[Target]:
        """Return the targets of other shards."""

    def config_yaml(self) -> str:
        """Return the configuration in use, without secrets."""

    def not_ready(self) -> str | None:
        """Return the reason why the exporter is not ready, or None."""

    def incomplete(self) -> str | None:
        """Return the reason why the list of servers may be incomplete, or None."""

    def scraped(self, seconds: float) -> None:
        """Record that a scrape took ``seconds``."""

    async def probe_now(self, target: Target, max_seconds: float) -> ProbeResult:
        """Probe a target within ``max_seconds``."""

    async def reload(self) -> None:
        """Read the configuration again and apply it; raises `ReloadRefusedError`."""
