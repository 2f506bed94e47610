"""The composition root: from a configuration to running parts; reload, drain, stop."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

import httpx
import structlog

from exporter.clock import Clock
from exporter.cloud.answer import Answer
from exporter.cloud.auth import Lockouts, login_for
from exporter.cloud.auth.login import Login
from exporter.cloud.client import CloudClient, Door, TokenDoor
from exporter.cloud.observer import DoorObserver, Unobserved
from exporter.cloud.throttle import Throttle
from exporter.cloud.transport import Transport
from exporter.config.config import AgencyAuth, Config, Project, Tls
from exporter.metrics.exposition import Exposition
from exporter.metrics.instruments import ExporterReadings, Instruments
from exporter.metrics.loop_lag import LoopLag
from exporter.metrics.project_instruments import ProjectInstruments, ProjectReadings
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, ProjectStatus, Target
from exporter.probe.console import ConsoleDoor
from exporter.probe.prober import Prober
from exporter.scheduling.scheduler import Scheduler
from exporter.state import ConsoleEvents, StateStore
from exporter.targets import targets_of

# SIGTERM must be obeyed within 5 s; this leaves the rest for connections to close.
_DRAIN_SECONDS = 4.0
_METADATA_TIMEOUT = 5.0
_METADATA_MAX_BYTES = 64 * 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProjectParts:
    """The running parts of one project, from the wire up to its prober."""

    project: Project
    transport: Transport
    metadata: Transport | None
    consoles: ConsoleDoor
    throttle: Throttle
    login: Login
    prober: Prober

    @classmethod
    def build(
        cls, project: Project, observer: DoorObserver, lockouts: Lockouts, clock: Clock
    ) -> "ProjectParts":
        """Put a project's parts together; nothing is sent yet.

        ``lockouts`` remember refused log-ins across projects and reloads.

        Raises `OSError` when a certificate file cannot be used, `SecretUnreadableError` when the
        proxy's file cannot be read.
        """
        transport = Transport(tls=project.tls, proxy_url=project.proxy_url, observer=observer)
        # The metadata service is a neighbour: no proxy leads there, and it shows no certificate.
        metadata = (
            Transport(tls=Tls(), proxy_url=None, observer=Unobserved())
            if isinstance(project.auth, AgencyAuth)
            else None
        )
        throttle = Throttle(
            requests_per_second=project.rate_limit.requests_per_second,
            burst=project.rate_limit.burst,
            clock=clock,
        )
        door = Door(transport, throttle, observer)

        async def fetch(request: httpx.Request) -> Answer:
            return await (metadata or transport).send(
                request, timeout=_METADATA_TIMEOUT, max_bytes=_METADATA_MAX_BYTES
            )

        login = login_for(
            project,
            send=TokenDoor(door, project.timeout),
            fetch=fetch,
            observer=observer,
            clock=clock,
            lockouts=lockouts,
        )
        client = CloudClient(
            endpoint=project.endpoint, project_id=project.project_id, door=door, login=login
        )
        consoles = ConsoleDoor(project.console, proxy_url=project.proxy_url, observer=observer)
        prober = Prober(client, consoles, clock)
        return cls(project, transport, metadata, consoles, throttle, login, prober)

    def readings(self) -> ProjectReadings:
        """Return what the metrics ask of these parts at each scrape."""
        return ProjectReadings(
            limit=lambda: self.throttle.limit,
            ceiling=lambda: self.throttle.ceiling,
            queue_length=lambda: self.throttle.queue_length,
            resume_at=lambda: self.throttle.resume_at,
            token_expires_at=lambda: self.login.expires_at,
        )

    def status(self) -> ProjectStatus:
        """Return how throttle and login stand, for people."""
        return ProjectStatus(
            name=self.project.name,
            region=self.project.region,
            limit=self.throttle.limit,
            ceiling=self.throttle.ceiling,
            queue_length=self.throttle.queue_length,
            resume_at=self.throttle.resume_at or None,
            login_expires_at=self.login.expires_at,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()
        await self.consoles.aclose()
        if self.metadata is not None:
            await self.metadata.aclose()


class Exporter:
    """The running program, save for its web server."""

    def __init__(self, config: Config, *, version: str, clock: Clock) -> None:
        """Build everything and start nothing. Must be called in a running event loop."""
        self._clock = clock
        self._lockouts = Lockouts(clock)
        self.config = config
        self.loop_lag = LoopLag(clock)
        self.state = StateStore(config.history)
        self._projects: dict[str, ProjectParts] = {}
        self._instruments_of: dict[str, ProjectInstruments] = {}
        self.instruments = Instruments(
            version,
            ExporterReadings(
                targets=lambda: len(self.state),
                overdue_servers=lambda: self.scheduler.overdue,
                event_loop_lag=self.loop_lag.worst,
            ),
        )
        self.scheduler = Scheduler(
            prober_of=lambda name: self._projects[name].prober,
            record=self._record,
            observer=self.instruments,
            clock=clock,
        )
        self._series = ServerSeries()
        self.state.listen(self._series)
        self.state.listen(ConsoleEvents())
        self.exposition = Exposition(self._series, self.instruments.registry)
        self.draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._apply(config)

    def start(self) -> None:
        """Start probing."""
        self._background(self.loop_lag.run())
        self.scheduler.start()

    def projects(self) -> list[ProjectStatus]:
        """Return how each project stands, in the order of the configuration."""
        return [parts.status() for parts in self._projects.values()]

    async def reload(self, load: Callable[[], Config]) -> None:
        """Load a configuration and go over to it; whatever ``load`` raises leaves all as it was.

        Targets that stay keep phase, counters and history; projects that stay as they are keep
        their pace and their token.
        """
        async with self._reloading:
            try:
                config = await asyncio.to_thread(load)
                self._apply(config)
            except Exception:
                self.instruments.config_refused()
                raise
        log.info("configuration reloaded", targets=len(self.state))

    async def stop(self) -> None:
        """Let running probes end, then close everything. Takes under 5 s."""
        self.draining = True
        await self.scheduler.stop(_DRAIN_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(parts.aclose() for parts in self._projects.values()))

    def _apply(self, config: Config) -> None:
        """Go over to ``config``. What can fail comes first, so that nothing is half done."""
        kept: dict[str, ProjectParts] = {}
        built: dict[str, ProjectParts] = {}
        added = [p.name for p in config.projects if p.name not in self._projects]
        try:
            for project in config.projects:
                old = self._projects.get(project.name)
                if old is not None and _same_door(old.project, project):
                    kept[project.name] = replace(old, project=project)
                else:
                    built[project.name] = self._build(project)
        except BaseException:
            for name in added:
                self.instruments.remove_project(name)
            for parts in built.values():
                self._background(parts.aclose())
            raise
        retired = [p for name, p in self._projects.items() if name not in kept]
        gone = self._projects.keys() - kept.keys() - built.keys()
        self._projects = {p.name: (kept | built)[p.name] for p in config.projects}
        for name, parts in built.items():
            self._instruments_of[name] = self.instruments.add_project(name, parts.readings())
        for name in gone:
            self.instruments.remove_project(name)
            del self._instruments_of[name]
        for project in config.projects:
            self._instruments_of[project.name].discovered("static", len(project.servers))
        targets = targets_of(config)
        self.state.keep_history(config.history)
        self.state.reconcile(targets)
        self.scheduler.reconcile(targets, rebuilt=built)
        for parts in retired:
            self._background(self._retire(parts))
        self.config = config
        self.instruments.config_loaded(config.sha256, self._clock.time())

    def _build(self, project: Project) -> ProjectParts:
        # The instruments come first because the parts report to them; what they read of the
        # parts follows when the parts are in place.
        unknown = ProjectReadings(*[lambda: None] * 5)
        old = self._projects.get(project.name)
        instruments = self.instruments.add_project(project.name, old.readings() if old else unknown)
        return ProjectParts.build(project, instruments, self._lockouts, self._clock)

    async def _retire(self, parts: ProjectParts) -> None:
        """Close a project's old connections when its last probes on them must have ended."""
        longest = max((server.timeout for server in parts.project.servers), default=0.0)
        try:
            await self._clock.sleep(longest + parts.project.timeout)
        finally:
            # Also when the program stops meanwhile.
            await parts.aclose()

    def _record(self, result: ProbeResult) -> None:
        if self.state.get(result.target.key) is None:
            return
        self._instruments_of[result.target.key.project].probed(result)
        self.state.record(result)

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def probe_once(project: Project, target: Target, clock: Clock) -> ProbeResult:
    """Probe one target of a project, with parts built for it alone."""
    parts = ProjectParts.build(project, Unobserved(), Lockouts(clock), clock)
    try:
        turn = await parts.prober.turn(clock.time())
        return await parts.prober.probe(target, turn)
    finally:
        await parts.aclose()


def _same_door(old: Project, new: Project) -> bool:
    """Return whether two versions of a project differ in nothing but their servers."""
    return replace(old, servers=()) == replace(new, servers=())
