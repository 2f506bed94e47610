"""Start each target's probe in its slot; never two of one target at once.

APScheduler wakes us in each second that has slots; the `PhaseTable` says who is due when; a `_Run` a
target remembers whether it waits for the throttle or is being probed.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, auto
from math import ceil
from typing import Protocol

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.clock import Clock
from exporter.model import ProbeResult, Stage, Target, TargetKey
from exporter.outcome import Outcome
from exporter.probe.prober import ProberOf, skipped
from exporter.scheduling.clock_steps import ClockSteps
from exporter.scheduling.phase_table import Due, PhaseTable

_OVERDUE_INTERVALS = 2
_LOOK_AT_CLOCK_SECONDS = 1.0
# One of APScheduler's wake-ups serves the slots of so long: it costs a quarter of a probe.
_STRETCH_SECONDS = 1.0
# Timers are rounded to milliseconds, and one that is early would find nobody due.
_TIMER_SECONDS = 0.0005
# Prometheus gives up a little before most timeouts; so much of a deadline still is evidence.
_NEARLY = 0.9
# A probe on demand ends by its own deadline; so much later it is ended, whatever it waits for.
_GRACE_SECONDS = 0.25
_NO_TIME = "the asker's deadline came first"
_STOPPING = "the exporter stops"

log = structlog.get_logger(__name__)


class SchedulingObserver(Protocol):
    """Who wants to know how well the schedule is kept."""

    def probe_due(self, lateness: float) -> None:
        """Note that a target was started ``lateness`` seconds after its slot."""

    def probes_missed(self, slots: int) -> None:
        """Note slots in which no probe could start."""


class _State(Enum):
    IDLE = auto()
    WAITING = auto()
    PROBING = auto()


@dataclass(slots=True)
class _Run:
    """What goes on with one target.

    ``since`` is the first slot that has not led to an answer yet: its place in the throttle's
    queue, which it keeps while it is skipped or throttled, so that all get their turn. All times
    are monotonic: a wall clock that is set makes nobody older or younger than the others.
    """

    target: Target
    known_since: float
    state: _State = _State.IDLE
    since: float | None = None
    attempted_at: float | None = None
    task: asyncio.Task[None] | None = None
    # Held while a probe is on the wire, scheduled or on demand.
    probing: asyncio.Lock = field(default_factory=asyncio.Lock)


class _StretchTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler 3 has no types
    """Fires at the first slot of each stretch of time that has any."""

    def __init__(self, phase_table: PhaseTable) -> None:
        self._phase_table = phase_table

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        # APScheduler lists all that was missed, one by one; one wake-up stands for them all.
        after = max(previous or now, now).timestamp()
        slot = self._phase_table.next_after(after if previous is None else _end_of_stretch(after))
        return None if slot is None else datetime.fromtimestamp(slot, UTC)


def _end_of_stretch(moment: float) -> float:
    """Return the last moment of the stretch that a moment is in, both in Unix seconds."""
    return ceil(moment / _STRETCH_SECONDS) * _STRETCH_SECONDS


class Scheduler:
    """Probes all targets, each in its slots, and hands each result on."""

    def __init__(
        self,
        *,
        prober_of: ProberOf,
        record: Callable[[ProbeResult], None],
        observer: SchedulingObserver,
        clock: Clock,
    ) -> None:
        """Prepare an empty schedule; `reconcile` fills it, `start` sets it going."""
        self._prober_of = prober_of
        self._record = record
        self._observer = observer
        self._clock = clock
        self._runs: dict[TargetKey, _Run] = {}
        self._phase_tables: dict[float, PhaseTable] = {}
        self._on_demand: set[asyncio.Task[ProbeResult]] = set()
        self._stopping = False
        self._overdue: set[TargetKey] = set()
        self._steps = ClockSteps(clock)
        self._watch: asyncio.Task[None] | None = None
        self._apscheduler = AsyncIOScheduler(
            timezone=UTC,
            # A wake-up that comes late is served: the rota knows which slots it stands for.
            # Where the loop was held up, stretches overlap; one left out would be a second late.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 100},
        )

    @property
    def overdue(self) -> int:
        """Return how many targets have not been attempted for two intervals."""
        return len(self._overdue)

    def start(self) -> None:
        """Set the schedule going. Must be called in a running event loop."""
        self._apscheduler.start()
        self._watch = asyncio.get_running_loop().create_task(self._watch_clock())

    def reconcile(self, targets: Iterable[Target], rebuilt: Iterable[str] = ()) -> None:
        """Make ``targets`` the whole schedule.

        Removed targets stop at once, added ones start in their next slot, all others keep phase
        and place. Targets of the ``rebuilt`` projects that wait for a throttle go over to the new
        one.
        """
        wanted = {target.key: target for target in targets}
        self.change(wanted.values(), self._runs.keys() - wanted.keys())
        moved = set(rebuilt)
        for run in self._runs.values():
            if run.target.key.project in moved and run.state is _State.WAITING and run.task:
                run.task.cancel()
                self._start(run)

    def change(self, put: Iterable[Target], gone: Iterable[TargetKey]) -> None:
        """Do the same for a part of the targets: what is new or different, and what is gone."""
        touched: set[float] = set()
        for key in gone:
            touched.add(self._remove(key))
        for target in put:
            touched |= self._put(target.key, target)
        for interval in touched:
            self._sync_job(interval)

    async def probe_now(self, target: Target, patience: float) -> ProbeResult:
        """Probe a target on demand, within ``patience`` seconds, waiting and all.

        Goes through the same throttle and prober, waits for a probe of the same target that is
        on the wire, and is not recorded. `skipped` when it does not come to an end in time, or
        not before `stop` has ended all probes.
        """
        asked_at = self._clock.time()
        if self._stopping:
            return skipped(target, asked_at, 0.0, _STOPPING)
        asked = asyncio.get_running_loop().create_task(self._asked(target, patience))
        self._on_demand.add(asked)
        asked.add_done_callback(self._on_demand.discard)
        try:
            # A log-in that comes in between has its own deadline, which may be far longer.
            async with asyncio.timeout(patience + _GRACE_SECONDS):
                return await asked
        except TimeoutError:
            why = _NO_TIME
        except asyncio.CancelledError:
            # It was `stop` that cancelled, unless who asked has left.
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            why = _STOPPING
        return skipped(target, asked_at, patience, why)

    async def _asked(self, target: Target, patience: float) -> ProbeResult:
        """Probe on demand; see `probe_now`."""
        prober = self._prober_of(target.key.project)
        run = self._runs.get(target.key)
        probing = run.probing if run else asyncio.Lock()
        asked_at = self._clock.time()
        asked_since = self._clock.monotonic()
        give_up_at = asked_since + patience
        try:
            async with asyncio.timeout(patience):
                permit = await prober.permit(asked_since)
                await probing.acquire()
        except TimeoutError:
            return skipped(target, asked_at, patience)
        try:
            left = max(0.001, give_up_at - self._clock.monotonic())
            hurried = replace(target, timeout=min(target.timeout, left))
            result = await prober.probe(hurried, permit)
        finally:
            probing.release()
        if result.outcome is Outcome.TIMEOUT and left < _NEARLY * target.timeout:
            # Who asked was out of patience well before the console was out of time.
            return replace(result, outcome=Outcome.SKIPPED, detail=_NO_TIME)
        return result

    async def stop(self, grace: float) -> None:
        """Start no more probes, let those on the wire end for ``grace`` seconds, then cancel."""
        self._stopping = True
        if self._apscheduler.running:
            self._apscheduler.pause()
            # A wake-up that was about to run does so: cancelled, it would be logged as an error.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._apscheduler.shutdown(wait=False)
        if self._watch is not None:
            self._watch.cancel()
        for run in self._runs.values():
            if run.state is _State.WAITING and run.task:
                run.task.cancel()
        tasks = {run.task for run in self._runs.values() if run.task} | self._on_demand
        if not tasks:
            return
        _, unfinished = await asyncio.wait(tasks, timeout=grace)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=1)

    def serve_slots(self, interval: float) -> float:
        """Start what is due by now among the targets of ``interval``; return now, Unix seconds."""
        self._heed_clock()
        now = self._clock.time()
        phase_table = self._phase_tables.get(interval)
        for due in phase_table.take(now) if phase_table else ():
            self._slot(due, now)
        return now

    async def _watch_clock(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_AT_CLOCK_SECONDS)
            self._heed_clock()

    def _heed_clock(self) -> None:
        """Begin anew from a clock that was set: APScheduler would wait until it has caught up."""
        if not self._steps.seen():
            return
        now = self._clock.time()
        missed = sum(phase_table.restart(now) for phase_table in self._phase_tables.values())
        log.warning("the clock was set", missed_probes=missed)
        if missed:
            self._observer.probes_missed(missed)
        for interval in list(self._phase_tables):
            self._sync_job(interval)

    def _put(self, key: TargetKey, target: Target) -> set[float]:
        """Put a target on the rota of its interval; return the intervals whose rotas changed."""
        now = self._clock.time()
        run = self._runs.get(key)
        touched = {target.interval}
        if run is None:
            self._runs[key] = _Run(target, known_since=self._clock.monotonic())
        elif run.target.interval == target.interval:
            run.target = target
            return set()
        else:
            touched.add(run.target.interval)
            self._phase_tables[run.target.interval].remove(key)
            run.target = target
        if target.interval not in self._phase_tables:
            self._phase_tables[target.interval] = PhaseTable(target.interval, now)
        self._phase_tables[target.interval].add(key, now)
        return touched

    def _remove(self, key: TargetKey) -> float:
        """Take a target out; return the interval whose rota changed."""
        run = self._runs.pop(key)
        self._phase_tables[run.target.interval].remove(key)
        self._overdue.discard(key)
        if run.task:
            run.task.cancel()
        return run.target.interval

    def _sync_job(self, interval: float) -> None:
        """Give a rota that changed its one job, whose next wake-up is right again."""
        phase_table = self._phase_tables[interval]
        if phase_table:
            self._apscheduler.add_job(
                self._wake,
                _StretchTrigger(phase_table),
                args=(interval,),
                id=str(interval),
                replace_existing=True,
            )
            return
        del self._phase_tables[interval]
        if self._apscheduler.get_job(str(interval)):
            self._apscheduler.remove_job(str(interval))

    async def _wake(self, interval: float) -> None:
        """Serve the slots until this stretch ends, or the clock is set, or the rota is gone."""
        until = _end_of_stretch(self._clock.time())
        # Cancelled as the schedule stops, which APScheduler would log as an error.
        with suppress(asyncio.CancelledError):
            while True:
                now = self.serve_slots(interval)
                phase_table = self._phase_tables.get(interval)
                slot = phase_table.next_after(now) if phase_table else None
                if slot is None or slot > until or now < until - _STRETCH_SECONDS:
                    return
                await self._clock.sleep(slot - now + _TIMER_SECONDS)

    def _slot(self, due: Due, now: float) -> None:
        run = self._runs[due.key]
        if due.missed:
            self._observer.probes_missed(due.missed)
        monotonic = self._clock.monotonic()
        attempted = run.known_since if run.attempted_at is None else run.attempted_at
        if monotonic - attempted > _OVERDUE_INTERVALS * run.target.interval:
            self._overdue.add(due.key)
        if run.state is _State.IDLE:
            self._observer.probe_due(now - due.at)
            if run.since is None:
                run.since = monotonic - (now - due.at)
            self._start(run)
            return
        self._observer.probes_missed(1)
        if run.state is _State.WAITING:
            # It keeps its place in the queue; only this slot is lost.
            self._record(skipped(run.target, due.at, run.target.interval))

    def _start(self, run: _Run) -> None:
        run.state = _State.WAITING
        run.task = asyncio.get_running_loop().create_task(self._run(run))

    async def _run(self, run: _Run) -> None:
        task = asyncio.current_task()
        try:
            prober = self._prober_of(run.target.key.project)
            since = self._clock.monotonic() if run.since is None else run.since
            permit = await prober.permit(since)
            async with run.probing:
                run.state = _State.PROBING
                run.attempted_at = self._clock.monotonic()
                self._overdue.discard(run.target.key)
                result = await prober.probe(run.target, permit)
            # Where a console says "too often", the cloud has answered.
            if result.outcome is not Outcome.THROTTLED or result.failed_stage is not Stage.API:
                run.since = None
            self._record(result)
        except Exception as fault:  # the next slot must come, whatever happened in this one
            run.since = None
            log.exception("a probe could not be run", server=run.target.name)
            self._record(
                ProbeResult(
                    target=run.target,
                    started_at=self._clock.time(),
                    outcome=Outcome.INTERNAL_ERROR,
                    failed_stage=Stage.API,
                    detail=type(fault).__name__,
                )
            )
        finally:
            # After a reload another task may have taken over.
            if run.task is task:
                run.state = _State.IDLE
                run.task = None
