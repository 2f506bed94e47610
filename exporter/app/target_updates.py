"""Apply changes of the target set to state, schedule and metrics."""

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from exporter.config.config import Config, Project
from exporter.metrics.instruments import Instruments
from exporter.model import Target
from exporter.process import gc_tuning
from exporter.scheduling.scheduler import Scheduler
from exporter.state import StateStore
from exporter.targets.capacity import CapacityPlan
from exporter.targets.sharding import Shard
from exporter.targets.source import Source, sources_of
from exporter.targets.target_set import TargetChanges, TargetSet

_TARGETS_PER_SLICE = 100
_LARGE_CHANGE_TARGETS = 1000

log = structlog.get_logger(__name__)


class TargetUpdates:
    """Keeps state, schedule and metrics in line with the target set, of which ``shard`` is probed.

    Calls must not overlap.
    """

    def __init__(
        self, *, state: StateStore, scheduler: Scheduler, instruments: Instruments, shard: Shard
    ) -> None:
        self._state = state
        self._scheduler = scheduler
        self._instruments = instruments
        self._shard = shard
        self._targets = TargetSet(shard.owns)

    def reconfigure(
        self,
        config: Config,
        before: Mapping[str, Project],
        files: Mapping[str, list[Target] | None],
        rebuilt: set[str],
    ) -> None:
        """Apply a configuration; ``before`` has the previous projects.

        ``files`` has the targets of each project's server files, None to keep the previous ones.
        ``rebuilt`` names the projects with new components.
        """
        self._targets.reconfigure(config.projects, before, files)
        for project in config.projects:
            self._instruments.project(project.name).discovery.show(sources_of(project))
            self._count_sources(project)
        targets = self._targets.all()
        self._state.set_history_length(config.global_.history)
        self._state.reconcile(targets)
        self._scheduler.reconcile(targets, rebuilt=rebuilt)

    async def put(self, project: Project, source: Source, targets: list[Target]) -> None:
        """Apply a source's new set of targets in slices, so that probes are not delayed."""
        changes, plan = await asyncio.to_thread(self._planned, project, source, targets)
        for part in changes.slices(_TARGETS_PER_SLICE):
            self._state.change(part.put, part.gone)
            self._scheduler.change(part.put, part.gone)
            await asyncio.sleep(0)
        self._count_sources(project)
        if not changes.put and not changes.gone:
            return
        if len(changes.put) >= _LARGE_CHANGE_TARGETS:
            gc_tuning.freeze()
        log.info(
            "target set changed",
            project=project.name,
            source=str(source),
            listed=len(targets),
            put=len(changes.put),
            gone=len(changes.gone),
            targets=len(self._state),
        )
        _warn_if_over_rate_limit(plan)

    def check_capacity(self, projects: Iterable[Project]) -> None:
        """Log a warning for each project whose rate limit is too low for its targets."""
        for project in projects:
            _warn_if_over_rate_limit(self._plan(project))

    def elsewhere(self) -> list[Target]:
        """Return the targets that other shards probe."""
        return self._targets.elsewhere()

    def incomplete(self) -> str | None:
        """Return which servers are not known yet; None once every source has been read."""
        for project, source in self._targets.awaited():
            return f"the servers of project {project} from source {source} are not known yet"
        return None

    def listed(self, project: str) -> int:
        """Return the number of servers in the cloud's last list of a project."""
        return self._targets.size(project, Source.CLOUD)

    def longest_probe(self, project: Project) -> float:
        """Return the maximum seconds that a running probe of a project may still take."""
        timeouts = (target.timeout for target in self._targets.of(project.name))
        return max(timeouts, default=0.0) + project.timeout

    def _planned(
        self, project: Project, source: Source, targets: list[Target]
    ) -> tuple[TargetChanges, CapacityPlan]:
        return self._targets.put(project.name, source, targets), self._plan(project)

    def _plan(self, project: Project) -> CapacityPlan:
        """Return the capacity plan of a project for the targets of this shard."""
        intervals = (target.interval for target in self._targets.of(project.name))
        return CapacityPlan.of(project, intervals, self._shard)

    def _count_sources(self, project: Project) -> None:
        discovery = self._instruments.project(project.name).discovery
        for source in sources_of(project):
            discovery.discovered(source, self._targets.contributed(project.name, source))


def _warn_if_over_rate_limit(plan: CapacityPlan) -> None:
    if not plan.fits:
        log.warning("rate limit too low for the configured probes", plan=str(plan))
