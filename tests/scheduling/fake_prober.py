"""A scheduler with a fake prober, and everything that it records."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from exporter.http.deadline import Deadline
from exporter.model import ProbeResult, Stage, Target, TargetKey
from exporter.outcome import Outcome
from exporter.scheduling.on_demand import OnDemandProbes
from exporter.scheduling.scheduler import Scheduler

INTERVAL = 10.0


def target(name: str, interval: float = INTERVAL, project: str = "southwest") -> Target:
    return Target(TargetKey(project, name), name, "cn-southwest-2", interval, 5.0)


@dataclass
class FakeProber:
    """A prober whose permits and probes tests can hold back; by default both are immediate."""

    clock: Any
    permits: asyncio.Event = field(default_factory=asyncio.Event)
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: Outcome = Outcome.SUCCESS
    failed_stage: Stage = Stage.API
    started: list[tuple[str, float]] = field(default_factory=list)
    dues: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.permits.set()
        self.ends.set()

    async def probe(
        self, target: Target, *, due: float, on_permit: Callable[[Deadline], None]
    ) -> ProbeResult:
        self.dues.append(due)
        await self.permits.wait()
        deadline = Deadline(target.timeout)
        on_permit(deadline)
        self.limits.append(deadline.limit)
        if self.error is not None:
            raise self.error
        started_at = self.clock.time()
        self.started.append((target.name, started_at))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.ends.wait()
        finally:
            self.running -= 1
        failed_stage = None if self.outcome is Outcome.SUCCESS else self.failed_stage
        return ProbeResult(target, started_at, self.outcome, failed_stage)


@dataclass
class Bench:
    """A scheduler with a fake prober, and everything that it records."""

    clock: Any
    prober: FakeProber
    results: list[ProbeResult] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    missed: int = 0
    scheduler: Scheduler = field(init=False)
    on_demand: OnDemandProbes = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(
            prober_of=lambda _name: self.prober,  # type: ignore[arg-type,return-value]
            record=self.results.append,
            observer=self,
            clock=self.clock,
        )
        self.on_demand = OnDemandProbes(
            prober_of=lambda _name: self.prober,  # type: ignore[arg-type,return-value]
            lock_of=self.scheduler.lock_of,
            clock=self.clock,
        )

    def probe_due(self, lateness: float) -> None:
        self.lateness.append(lateness)

    def probes_missed(self, slots: int) -> None:
        self.missed += slots

    async def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass and wake the scheduler as APScheduler would."""
        for _ in range(round(seconds / step)):
            await self.clock.advance(step)
            self.scheduler.serve_slots(INTERVAL)
            await self.clock.advance(0)

    def outcomes(self) -> list[Outcome]:
        return [result.outcome for result in self.results]
