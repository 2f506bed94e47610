"""What the routes read of the running program, and the few things that they can ask of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from exporter.metrics.exposition import Exposition
from exporter.model import ProbeResult, ProjectStatus, Target
from exporter.state import StateStore
from exporter.targets.sharding import ALONE, Shard


class ReloadRefusedError(Exception):
    """The new configuration cannot be used; the message lists every mistake."""


@dataclass(frozen=True, slots=True)
class ExporterView:
    """What the routes read of the running program, and the two things that they can ask of it.

    ``not_ready`` gives the reason why the program is not ready, None when it is,
    ``incomplete`` why the servers that there are may not be all, None when they are. ``reload``
    raises `ReloadRefusedError`. ``probe_now`` takes a target and the seconds there are for it.
    ``elsewhere`` gives the targets of the other shards.
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
    shard: Shard = ALONE
    elsewhere: Callable[[], Sequence[Target]] = tuple
