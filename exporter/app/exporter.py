"""Build all components from a configuration; start, drain and stop them."""

import asyncio
from collections.abc import Callable

import structlog

from exporter.app.active_config import ActiveConfig
from exporter.app.background_tasks import BackgroundTasks
from exporter.app.projects import Projects
from exporter.app.target_updates import TargetUpdates
from exporter.clock import Clock
from exporter.config.config import Config
from exporter.metrics.exposition import Exposition
from exporter.metrics.instruments import Instruments
from exporter.metrics.loop_lag import LoopLag
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, ProjectStatus, Target
from exporter.probe.prober import Prober
from exporter.process import malloc_trim
from exporter.scheduling.on_demand import OnDemandProbes
from exporter.scheduling.scheduler import Scheduler
from exporter.state import ConsoleEvents, ProjectEvents, StateStore
from exporter.state.saved_state import SavedState
from exporter.state.state_file import StateFile
from exporter.state.state_writer import StateWriter
from exporter.targets.sharding import UNSHARDED, Shard

# The process must exit within 5 s of SIGTERM; the rest of that time is for closing connections.
_DRAIN_SECONDS = 3.5
# Time for the last write of the state file, after the drain.
_LAST_WRITE_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Exporter:
    """All components of the running program except its web server.

    Must be created in a running event loop; `start` starts it. Only the targets of ``shard`` are
    probed. State is written to ``state_file``; ``saved_state`` is what the file held at the start.
    """

    def __init__(  # noqa: PLR0913 - one parameter per group of flags
        self,
        config: Config,
        *,
        version: str,
        clock: Clock,
        shard: Shard = UNSHARDED,
        state_file: StateFile | None = None,
        saved_state: SavedState | None = None,
    ) -> None:
        saved = saved_state or SavedState()
        self._clock = clock
        self.version = version
        self.shard = shard
        self.draining = False
        self.loop_lag = LoopLag(clock)
        self.state = StateStore(config.global_.history, saved.target)
        self._background = BackgroundTasks()
        self.instruments = Instruments(
            version,
            projects=self.projects,
            targets=lambda: len(self.state),
            overdue_servers=lambda: self.scheduler.overdue,
            event_loop_lag=self.loop_lag.worst,
        )
        self.instruments.sharded(shard.index, shard.count)
        self._projects = Projects(
            instruments=self.instruments,
            saved=saved,
            shard=shard,
            background=self._background,
            clock=clock,
        )
        self.scheduler = Scheduler(
            prober_of=self._prober, record=self._record, observer=self.instruments, clock=clock
        )
        self.on_demand = OnDemandProbes(
            prober_of=self._prober, lock_of=self.scheduler.lock_of, clock=clock
        )
        series = ServerSeries()
        for listener in (series, ConsoleEvents(), ProjectEvents()):
            self.state.listen(listener)
        self.exposition = Exposition(series, self.instruments.registry)
        self._targets = TargetUpdates(
            state=self.state,
            scheduler=self.scheduler,
            instruments=self.instruments,
            shard=shard,
        )
        self._active = ActiveConfig(
            config,
            projects=self._projects,
            targets=self._targets,
            instruments=self.instruments,
            clock=clock,
        )
        self._writer: StateWriter | None = None
        if state_file is not None:
            self._writer = StateWriter(state_file, self._projects.snapshots, clock)
            self.state.listen(self._writer)

    @property
    def config(self) -> Config:
        """Return the configuration in use."""
        return self._active.config

    def projects(self) -> list[ProjectStatus]:
        """Return the status of each project, in the order of the configuration."""
        return self._projects.statuses()

    def elsewhere(self) -> list[Target]:
        """Return the targets that other shards probe."""
        return self._targets.elsewhere()

    def incomplete(self) -> str | None:
        """Return which servers are not known yet; None once every source has been read."""
        return self._targets.incomplete()

    async def start(self) -> None:
        """Read the server files, then start probing."""
        self._background.start(self.loop_lag.run())
        self._background.start(malloc_trim.trim_periodically(self._clock))
        await self._active.start()
        if self._writer is not None:
            self._background.start(self._writer.run())
        self.scheduler.start()
        self._targets.check_capacity(self.config.projects)

    async def reload(self, load: Callable[[], Config]) -> None:
        """Load a configuration and apply it; see `ActiveConfig.reload`."""
        await self._active.reload(load)
        log.info("configuration reloaded", targets=len(self.state))
        self._targets.check_capacity(self.config.projects)

    async def stop(self) -> None:
        """Wait for running probes, then close everything. Takes less than 5 s."""
        self.draining = True
        await self._active.stop()
        writer = self._writer
        if writer is None:
            await self._drain()
        else:
            await asyncio.gather(self._drain(), writer.flush_within(_DRAIN_SECONDS))
            await writer.close(_LAST_WRITE_SECONDS)
        await self._background.cancel()
        await self._projects.aclose()

    async def _drain(self) -> None:
        await asyncio.gather(
            self.scheduler.stop(_DRAIN_SECONDS), self.on_demand.stop(_DRAIN_SECONDS)
        )

    def _prober(self, project: str) -> Prober:
        return self._projects[project].prober

    def _record(self, result: ProbeResult) -> None:
        if self.state.get(result.target.key) is None:
            return
        self.instruments.project(result.target.key.project).probed(result)
        self.state.record(result)
