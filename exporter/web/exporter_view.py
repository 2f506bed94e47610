"""The interface between the routes and the running exporter."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from exporter.metrics.exposition import Exposition
from exporter.model import ProbeResult, ProjectStatus, Target
from exporter.state import StateStore
from exporter.targets.sharding import UNSHARDED, Shard


class ReloadRefusedError(Exception):
    """The new configuration is invalid; the message lists every error."""


@dataclass(frozen=True, slots=True)
class ExporterView:
    """What the routes read from the running exporter, and the actions that they can trigger.

    ``not_ready`` returns the reason why the exporter is not ready, or None. ``incomplete`` returns
    the reason why the list of servers may be incomplete, or None. ``reload`` raises
    `ReloadRefusedError`. ``probe_now`` takes a target and the seconds until the deadline.
    ``scraped`` takes the seconds that a scrape took. ``elsewhere`` returns the targets of other
    shards.
    """

    state: StateStore
    projects: Callable[[], list[ProjectStatus]]
    exposition: Exposition
    scraped: Callable[[float], None]
    config_yaml: Callable[[], str]
    not_ready: Callable[[], str | None]
    incomplete: Callable[[], str | None]
    reload: Callable[[], Awaitable[None]]
    probe_now: Callable[[Target, float], Awaitable[ProbeResult]]
    clock_time: Callable[[], float]
    version: str
    shard: Shard = UNSHARDED
    elsewhere: Callable[[], Sequence[Target]] = tuple
