"""Build all components from a configuration; start, reload, drain and stop them."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace

import structlog

from exporter.app.project import ProjectParts
from exporter.clock import Clock
from exporter.cloud.auth import Lockouts
from exporter.config.config import Config, Project
from exporter.metrics.exposition import Exposition
from exporter.metrics.instruments import Instruments
from exporter.metrics.loop_lag import LoopLag
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, ProjectStatus, Target
from exporter.process import gc_tuning, malloc_trim
from exporter.scheduling.on_demand import OnDemandProbes
from exporter.scheduling.scheduler import Scheduler
from exporter.state import ConsoleEvents, ProjectEvents, StateStore
from exporter.state.saved_state import SavedProject, SavedState
from exporter.state.state_file import StateFile
from exporter.state.state_writer import StateWriter
from exporter.targets.capacity import CapacityPlan
from exporter.targets.discoverers import Discoverers
from exporter.targets.sharding import UNSHARDED, Shard
from exporter.targets.source import Source, sources_of
from exporter.targets.target_set import TargetChanges, TargetSet

# The process must exit within 5 s of SIGTERM; the rest of that time is for closing connections.
_DRAIN_SECONDS = 3.5
# Time for the last write of the state file, after the drain.
_LAST_WRITE_SECONDS = 0.5
_TARGETS_PER_SLICE = 100
_LARGE_CHANGE_TARGETS = 1000

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
        self._clock = clock
        self.shard = shard
        self._saved_state = saved_state or SavedState()
        self._lockouts = Lockouts(clock)
        self.config = config
        self.loop_lag = LoopLag(clock)
        self.state = StateStore(config.global_.history, self._saved_state.target)
        self._projects: dict[str, ProjectParts] = {}
        self.instruments = Instruments(
            version,
            projects=self.projects,
            targets=lambda: len(self.state),
            overdue_servers=lambda: self.scheduler.overdue,
            event_loop_lag=self.loop_lag.worst,
        )
        self.instruments.sharded(shard.index, shard.count)
        self.scheduler = Scheduler(
            prober_of=lambda name: self._projects[name].prober,
            record=self._record,
            observer=self.instruments,
            clock=clock,
        )
        self.on_demand = OnDemandProbes(
            prober_of=lambda name: self._projects[name].prober,
            lock_of=self.scheduler.lock_of,
            clock=clock,
        )
        self._targets = TargetSet(shard.owns)
        self._discoverers = Discoverers(
            send=self._discovered,
            observer_of=lambda name: self.instruments.project(name).discovery,
            clock=clock,
        )
        self._series = ServerSeries()
        self.state.listen(self._series)
        self.state.listen(ConsoleEvents())
        self.state.listen(ProjectEvents())
        self.exposition = Exposition(self._series, self.instruments.registry)
        self.draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._change_lock = asyncio.Lock()
        self._apply(config, {})
        self._writer: StateWriter | None = None
        if state_file is not None:
            self._writer = StateWriter(state_file, self._snapshots, clock)
            self.state.listen(self._writer)

    async def start(self) -> None:
        """Read the server files, then start probing; the cloud's server lists follow later."""
        self._run_in_background(self.loop_lag.run())
        self._run_in_background(malloc_trim.trim_periodically(self._clock))
        files = await self._discoverers.read_files(self.config.projects)
        for discovery, targets in files.items():
            if targets is not None:
                await self._discovered(discovery.project.name, Source.FILE, targets)
        gc_tuning.freeze()
        self._discoverers.update(self._projects, files, self._listed)
        if self._writer is not None:
            self._run_in_background(self._writer.run())
        self.scheduler.start()

    def projects(self) -> list[ProjectStatus]:
        """Return the status of each project, in the order of the configuration."""
        return [parts.status() for parts in self._projects.values()]

    def elsewhere(self) -> list[Target]:
        """Return the targets that other shards probe."""
        return self._targets.elsewhere()

    def plans(self) -> list[CapacityPlan]:
        """Return the capacity plan of each project for the targets of this shard."""
        return [
            CapacityPlan.of(
                parts.project,
                (target.interval for target in self._targets.of(name)),
                self.shard,
            )
            for name, parts in self._projects.items()
        ]

    def incomplete(self) -> str | None:
        """Return which servers are not known yet; None once every source has been read."""
        for project, source in self._targets.awaited():
            return f"the servers of project {project} from source {source} are not known yet"
        return None

    async def reload(self, load: Callable[[], Config]) -> None:
        """Load a configuration and apply it. On error the current configuration stays active.

        Unchanged targets keep phase, counters and history; unchanged projects keep their request
        rate and token. Exceptions of ``load`` propagate.
        """
        async with self._change_lock:
            gc_tuning.pause()
            try:
                config = await asyncio.to_thread(load)
                files = await self._discoverers.read_files(config.projects)
                self._apply(config, {one.project.name: found for one, found in files.items()})
            except Exception:
                self.instruments.config_refused()
                raise
            finally:
                gc_tuning.resume()
            self._discoverers.update(self._projects, files, self._listed)
        log.info("configuration reloaded", targets=len(self.state))

    async def stop(self) -> None:
        """Wait for running probes, then close everything. Takes less than 5 s."""
        self.draining = True
        await self._discoverers.stop()
        writer = self._writer
        if writer is None:
            await self._drain()
        else:
            await asyncio.gather(self._drain(), writer.flush_within(_DRAIN_SECONDS))
            await writer.close(_LAST_WRITE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(parts.aclose() for parts in self._projects.values()))

    async def _drain(self) -> None:
        await asyncio.gather(
            self.scheduler.stop(_DRAIN_SECONDS), self.on_demand.stop(_DRAIN_SECONDS)
        )

    def _apply(self, config: Config, files: Mapping[str, list[Target] | None]) -> None:
        """Apply ``config``. Steps that can fail come first, so that no change is applied partly.

        ``files`` has the targets of each project's server files, None to keep the previous ones.
        """
        reused: dict[str, ProjectParts] = {}
        built: dict[str, ProjectParts] = {}
        added = [p.name for p in config.projects if p.name not in self._projects]
        try:
            for project in config.projects:
                old = self._projects.get(project.name)
                if old is not None and old.can_serve(project):
                    reused[project.name] = replace(old, project=project)
                else:
                    built[project.name] = self._build(project)
        except BaseException:
            for name in added:
                self.instruments.remove_project(name)
            for parts in built.values():
                self._run_in_background(parts.aclose())
            raise
        retired = [p for name, p in self._projects.items() if name not in reused]
        grace = {p.project.name: self._longest_probe(p.project) for p in retired}
        before = {name: p.project for name, p in self._projects.items()}
        gone = self._projects.keys() - reused.keys() - built.keys()
        self._projects = {p.name: (reused | built)[p.name] for p in config.projects}
        for name in gone:
            self.instruments.remove_project(name)
        self._targets.reconfigure(config.projects, before, files)
        for project in config.projects:
            self.instruments.project(project.name).discovery.show(sources_of(project))
            self._show_sources(project)
        targets = self._targets.all()
        self.state.set_history_length(config.global_.history)
        self.state.reconcile(targets)
        self.scheduler.reconcile(targets, rebuilt=built)
        for parts in retired:
            self._run_in_background(self._retire(parts, grace[parts.project.name]))
        self.config = config
        self.instruments.config_loaded(config.sha256, self._clock.time())

    async def _snapshots(self) -> dict[str, SavedProject]:
        return {
            parts.snapshot_key: await parts.snapshot() for parts in list(self._projects.values())
        }

    def _build(self, project: Project) -> ProjectParts:
        instruments = self.instruments.add_project(project.name)
        parts = ProjectParts.build(project, instruments, self._lockouts, self._clock, self.shard)
        parts.restore(self._saved_state.project(parts.snapshot_key))
        return parts

    async def _discovered(self, name: str, source: Source, targets: list[Target]) -> None:
        """Apply a source's new set of targets in slices, so that probes are not delayed."""
        async with self._change_lock:
            project = self._projects[name].project
            changes, plan = await asyncio.to_thread(self._planned, project, source, targets)
            for part in changes.slices(_TARGETS_PER_SLICE):
                self.state.change(part.put, part.gone)
                self.scheduler.change(part.put, part.gone)
                await asyncio.sleep(0)
            self._show_sources(project)
        if not changes.put and not changes.gone:
            return
        if len(changes.put) >= _LARGE_CHANGE_TARGETS:
            gc_tuning.freeze()
        log.info(
            "target set changed",
            project=name,
            source=str(source),
            listed=len(targets),
            put=len(changes.put),
            gone=len(changes.gone),
            targets=len(self.state),
        )
        if not plan.fits:
            log.warning("rate limit too low for the configured probes", plan=str(plan))

    def _planned(
        self, project: Project, source: Source, targets: list[Target]
    ) -> tuple[TargetChanges, CapacityPlan]:
        changes = self._targets.put(project.name, source, targets)
        joined = self._targets.of(project.name)
        return changes, CapacityPlan.of(project, (target.interval for target in joined), self.shard)

    def _show_sources(self, project: Project) -> None:
        instruments = self.instruments.project(project.name).discovery
        for source in sources_of(project):
            instruments.discovered(source, self._targets.contributed(project.name, source))

    def _listed(self, name: str) -> int:
        return self._targets.size(name, Source.CLOUD)

    def _longest_probe(self, project: Project) -> float:
        timeouts = (target.timeout for target in self._targets.of(project.name))
        return max(timeouts, default=0.0) + project.timeout

    async def _retire(self, parts: ProjectParts, grace: float) -> None:
        """Close a project's old connections after the last probes on them have ended."""
        try:
            await self._clock.sleep(grace)
        finally:
            # Also runs when the program stops during the wait.
            await parts.aclose()
        # The parts form reference cycles, which only a collection frees.
        gc_tuning.collect_frozen()

    def _record(self, result: ProbeResult) -> None:
        if self.state.get(result.target.key) is None:
            return
        self.instruments.project(result.target.key.project).probed(result)
        self.state.record(result)

    def _run_in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
