"""A fake running exporter, whose state, clock and results tests set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from exporter.metrics.exposition import Exposition
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, ProjectStatus, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome
from exporter.state import StateStore
from exporter.targets.sharding import UNSHARDED, Shard
from exporter.web.application import web_application
from exporter.web.exporter_view import ReloadRefusedError

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
HOSTILE = '"><script>alert(1)</script>&'


def target(name: str, project: str = "southwest", **more: Any) -> Target:
    """Return a server whose id is its name, with other characters replaced."""
    server_id = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    base = Target(TargetKey(project, server_id), name, "cn-southwest-2", 60.0, 10.0)
    return replace(base, **more)


def result(
    of: Target, outcome: Outcome = Outcome.SUCCESS, at: float = NOW, detail: str = ""
) -> ProbeResult:
    """Return a result at ``at``, Unix time in seconds."""
    passed = outcome is Outcome.SUCCESS
    return ProbeResult(
        of,
        at,
        outcome,
        None if passed else Stage.API,
        200 if passed else 500,
        stages=() if outcome is Outcome.SKIPPED else (StageTiming(Stage.API, 0.25, passed),),
        detail=detail,
    )


@dataclass
class FakeExporter:
    """An `ExporterView` without a scheduler; probes on demand have ``outcome`` and ``detail``."""

    state: StateStore = field(default_factory=lambda: StateStore(history_length=5))
    statuses: list[ProjectStatus] = field(default_factory=list)
    others: list[Target] = field(default_factory=list)
    shard: Shard = UNSHARDED
    version: str = "1.2.3"
    now: float = NOW
    outcome: Outcome = Outcome.SUCCESS
    detail: str = ""
    unready: str | None = None
    missing: str | None = None
    reload_error: str = ""
    probed: list[tuple[Target, float]] = field(default_factory=list)
    scrapes: list[float] = field(default_factory=list)
    exposition: Exposition = field(init=False)

    def __post_init__(self) -> None:
        series = ServerSeries()
        self.state.listen(series)
        self.exposition = Exposition(series, CollectorRegistry())

    def clock_time(self) -> float:
        """Return the time that the test set."""
        return self.now

    def projects(self) -> list[ProjectStatus]:
        """Return the statuses that the test set."""
        return self.statuses

    def elsewhere(self) -> list[Target]:
        """Return the targets of other shards that the test set."""
        return self.others

    def config_yaml(self) -> str:
        """Return a configuration without projects."""
        return "projects: []\n"

    def not_ready(self) -> str | None:
        """Return the reason that the test set."""
        return self.unready

    def incomplete(self) -> str | None:
        """Return the reason that the test set."""
        return self.missing

    def scraped(self, seconds: float) -> None:
        """Store the duration of a scrape."""
        self.scrapes.append(seconds)

    async def probe_now(self, target: Target, max_seconds: float) -> ProbeResult:
        """Store the target and return a result."""
        self.probed.append((target, max_seconds))
        return result(target, self.outcome, self.now, self.detail)

    async def reload(self) -> None:
        """Fail with the error that the test set, if any."""
        if self.reload_error:
            raise ReloadRefusedError(self.reload_error)

    def add(self, server_id: str, *outcomes: Outcome, **more: str) -> Target:
        """Add a server with these outcomes, one per minute, the last one ten seconds ago."""
        labels = {name: text for name, text in more.items() if name not in {"project", "name"}}
        target = Target(
            TargetKey(more.get("project", "southwest"), server_id),
            more.get("name", server_id),
            "cn-southwest-2",
            60.0,
            10.0,
            labels=tuple(labels.items()),
        )
        self.state.reconcile([*(known.target for known in self.state), target])
        for ago, outcome in zip(range(len(outcomes) - 1, -1, -1), outcomes, strict=True):
            detail = "" if outcome is Outcome.SUCCESS else f"it was {outcome}"
            self.state.record(result(target, outcome, self.now - 10 - 60 * ago, detail))
        return target

    def record(self, of: Target, *outcomes: Outcome, detail: str = "") -> None:
        """Record probes of a server that end now."""
        for outcome in outcomes:
            self.state.record(result(of, outcome, self.now, detail))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Open a client of the web application."""
        transport = httpx.ASGITransport(web_application(self))
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            yield client
