"""Start the probe of each target in its slot; never run two probes of one target at once.

APScheduler wakes the scheduler in each second that has slots. A `PhaseTable` per interval computes
which targets are due. A `_Run` per target holds whether it waits for the throttle or is being
probed.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from math import ceil
from typing import Protocol

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.clock import Clock
from exporter.http.deadline import Deadline
from exporter.model import ProbeResult, Stage, Target, TargetKey
from exporter.outcome import Outcome
from exporter.probe.prober import ProberOf, skipped
from exporter.scheduling.clock_steps import ClockSteps
from exporter.scheduling.on_demand import end_within
from exporter.scheduling.phase_table import Due, PhaseTable

_OVERDUE_INTERVALS = 2
_CLOCK_CHECK_SECONDS = 1.0
# A wake-up of APScheduler costs a quarter of a probe's CPU time: one serves this many seconds.
_WINDOW_SECONDS = 1.0
# Timers are rounded to milliseconds; one that fires early would find no target due.
_TIMER_MARGIN_SECONDS = 0.0005

log = structlog.get_logger(__name__)


class SchedulingObserver(Protocol):
    """Receives measurements of how well the schedule is kept."""

    def probe_due(self, lateness: float) -> None:
        """Record that a probe was started ``lateness`` seconds after its slot."""

    def probes_missed(self, slots: int) -> None:
        """Record slots in which no probe could start."""


class _State(Enum):
    IDLE = auto()
    WAITING = auto()
    PROBING = auto()


@dataclass(slots=True)
class _Run:
    """The state of one target's probe.

    ``since`` is the first slot without a response of the cloud: the target's place in the
    throttle's queue. A target keeps it while its probes are skipped or throttled, so that every
    target gets its permit. All times are monotonic, so that a clock step does not change the order.
    """

    target: Target
    known_since: float
    state: _State = _State.IDLE
    since: float | None = None
    attempted_at: float | None = None
    task: asyncio.Task[None] | None = None
    # Held while a probe is running, scheduled or on demand.
    probing: asyncio.Lock = field(default_factory=asyncio.Lock)


class _WindowTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler 3 has no types
    """Fires at the first slot of each window that has any."""

    def __init__(self, phase_table: PhaseTable) -> None:
        self._phase_table = phase_table

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        # APScheduler asks for each missed time separately; one wake-up covers them all.
        after = max(previous or now, now).timestamp()
        slot = self._phase_table.next_after(after if previous is None else _end_of_window(after))
        return None if slot is None else datetime.fromtimestamp(slot, UTC)


def _end_of_window(moment: float) -> float:
    """Return the end of the window that contains ``moment``, both in Unix seconds."""
    return ceil(moment / _WINDOW_SECONDS) * _WINDOW_SECONDS


class Scheduler:
    """Probes each target in its slots and passes the results to ``record``.

    The schedule starts empty: `reconcile` fills it, `start` starts it.
    """

    def __init__(
        self,
        *,
        prober_of: ProberOf,
        record: Callable[[ProbeResult], None],
        observer: SchedulingObserver,
        clock: Clock,
    ) -> None:
        self._prober_of = prober_of
        self._record = record
        self._observer = observer
        self._clock = clock
        self._runs: dict[TargetKey, _Run] = {}
        self._phase_tables: dict[float, PhaseTable] = {}
        self._overdue: set[TargetKey] = set()
        self._clock_steps = ClockSteps(clock)
        self._watch: asyncio.Task[None] | None = None
        self._apscheduler = AsyncIOScheduler(
            timezone=UTC,
            # Late wake-ups run: the phase table knows which slots they cover. If the event loop
            # was blocked, windows overlap; a skipped wake-up would delay its slots by a second.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 100},
        )

    @property
    def overdue(self) -> int:
        """Return the number of targets without a probe for two intervals."""
        return len(self._overdue)

    def start(self) -> None:
        """Start the schedule. Must be called in a running event loop."""
        self._apscheduler.start()
        self._watch = asyncio.get_running_loop().create_task(self._watch_clock())

    def reconcile(self, targets: Iterable[Target], rebuilt: Iterable[str] = ()) -> None:
        """Replace all targets of the schedule.

        Removed targets stop at once, added ones start in their next slot, all others keep their
        phase and their place in the queue. Targets of ``rebuilt`` projects that wait for the old
        throttle wait for the new one instead.
        """
        wanted = {target.key: target for target in targets}
        self.change(wanted.values(), self._runs.keys() - wanted.keys())
        moved = set(rebuilt)
        for run in self._runs.values():
            if run.target.key.project in moved and run.state is _State.WAITING and run.task:
                run.task.cancel()
                self._start(run)

    def change(self, put: Iterable[Target], gone: Iterable[TargetKey]) -> None:
        """Add or update the targets ``put`` and remove those ``gone``; all others stay."""
        touched: set[float] = set()
        for key in gone:
            touched.add(self._remove(key))
        for target in put:
            touched |= self._put(target.key, target)
        for interval in touched:
            self._sync_job(interval)

    def lock_of(self, key: TargetKey) -> asyncio.Lock:
        """Return the lock that a probe of this target holds; a new one for an unknown target."""
        run = self._runs.get(key)
        return run.probing if run else asyncio.Lock()

    async def stop(self, grace: float) -> None:
        """Start no more probes, wait ``grace`` seconds for running ones, then cancel them."""
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
        await end_within({run.task for run in self._runs.values() if run.task}, grace)

    def serve_slots(self, interval: float) -> float:
        """Start the due probes of targets with this interval; return the current Unix time."""
        self._check_clock()
        now = self._clock.time()
        phase_table = self._phase_tables.get(interval)
        for due in phase_table.take(now) if phase_table else ():
            self._slot(due, now)
        return now

    async def _watch_clock(self) -> None:
        while True:
            await self._clock.sleep(_CLOCK_CHECK_SECONDS)
            self._check_clock()

    def _check_clock(self) -> None:
        """Restart the schedule after a clock step; APScheduler would wait for the old time."""
        if not self._clock_steps.detected():
            return
        now = self._clock.time()
        missed = sum(phase_table.restart(now) for phase_table in self._phase_tables.values())
        log.warning("system clock changed", missed_probes=missed)
        if missed:
            self._observer.probes_missed(missed)
        for interval in list(self._phase_tables):
            self._sync_job(interval)

    def _put(self, key: TargetKey, target: Target) -> set[float]:
        """Add or update a target; return the intervals whose phase tables changed."""
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
        """Remove a target; return the interval whose phase table changed."""
        run = self._runs.pop(key)
        self._phase_tables[run.target.interval].remove(key)
        self._overdue.discard(key)
        if run.task:
            run.task.cancel()
        return run.target.interval

    def _sync_job(self, interval: float) -> None:
        """Schedule the next wake-up of an interval after its phase table changed."""
        phase_table = self._phase_tables[interval]
        if phase_table:
            self._apscheduler.add_job(
                self._wake,
                _WindowTrigger(phase_table),
                args=(interval,),
                id=str(interval),
                replace_existing=True,
            )
            return
        del self._phase_tables[interval]
        if self._apscheduler.get_job(str(interval)):
            self._apscheduler.remove_job(str(interval))

    async def _wake(self, interval: float) -> None:
        """Serve slots until the window ends, the clock steps, or the interval has no targets."""
        until = _end_of_window(self._clock.time())
        # APScheduler would log the cancellation at shutdown as an error.
        with suppress(asyncio.CancelledError):
            while True:
                now = self.serve_slots(interval)
                phase_table = self._phase_tables.get(interval)
                slot = phase_table.next_after(now) if phase_table else None
                if slot is None or slot > until or now < until - _WINDOW_SECONDS:
                    return
                await self._clock.sleep(slot - now + _TIMER_MARGIN_SECONDS)

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
            # The target keeps its place in the queue; only this slot is lost.
            self._record(skipped(run.target, due.at, run.target.interval))

    def _start(self, run: _Run) -> None:
        run.state = _State.WAITING
        run.task = asyncio.get_running_loop().create_task(self._run(run))

    def _attempted(self, run: _Run) -> None:
        run.attempted_at = self._clock.monotonic()
        self._overdue.discard(run.target.key)

    async def _run(self, run: _Run) -> None:
        task = asyncio.current_task()
        try:
            prober = self._prober_of(run.target.key.project)
            since = self._clock.monotonic() if run.since is None else run.since

            def permitted(_deadline: Deadline) -> None:
                run.state = _State.PROBING
                self._attempted(run)

            async with run.probing:
                result = await prober.probe(run.target, due=since, on_permit=permitted)
            # A failed login needs no permit, and is an attempt all the same.
            self._attempted(run)
            # If the console throttles, the cloud has responded.
            if result.outcome is not Outcome.THROTTLED or result.failed_stage is not Stage.API:
                run.since = None
            self._record(result)
        except Exception as error:  # one failed probe must not end the schedule
            run.since = None
            log.exception("unexpected error in a scheduled probe", server=run.target.name)
            self._record(
                ProbeResult(
                    target=run.target,
                    started_at=self._clock.time(),
                    outcome=Outcome.INTERNAL_ERROR,
                    failed_stage=Stage.API,
                    detail=type(error).__name__,
                )
            )
        finally:
            # A reload may have replaced this task.
            if run.task is task:
                run.state = _State.IDLE
                run.task = None
