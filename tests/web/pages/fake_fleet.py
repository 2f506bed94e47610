"""A fake exporter with servers in memory and a clock that tests set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from exporter.metrics.exposition import Exposition
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, ProjectStatus, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome, Verdict
from exporter.state import StateStore
from exporter.web.application import web_application
from exporter.web.exporter_view import ExporterView

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
        stages=() if outcome is Outcome.SKIPPED else (StageTiming(Stage.API, 0.25, passed),),
        detail=detail,
    )


@dataclass
class InMemory:
    """A fake running exporter that consists of its state."""

    now: float = NOW
    state: StateStore = field(default_factory=lambda: StateStore(history_length=5))
    statuses: list[ProjectStatus] = field(default_factory=list)
    outcome: Outcome = Outcome.SUCCESS
    probed: list[Target] = field(default_factory=list)

    def record(self, of: Target, *outcomes: Outcome, detail: str = "") -> None:
        """Record probes of a server that end now."""
        for outcome in outcomes:
            self.state.record(result(of, outcome, self.now, detail))

    async def probe_now(self, of: Target, _seconds: float) -> ProbeResult:
        """Probe on demand."""
        self.probed.append(of)
        verdict = self.outcome.verdict
        return result(
            of, self.outcome, self.now, "" if verdict is Verdict.SUCCESS else "<i>why</i>"
        )

    async def reload(self) -> None:
        """Do nothing."""

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Open a client of the web application."""
        application = web_application(
            ExporterView(
                state=self.state,
                projects=lambda: self.statuses,
                exposition=Exposition(ServerSeries(), CollectorRegistry()),
                scraped=lambda _seconds: None,
                config_yaml=str,
                not_ready=lambda: None,
                incomplete=lambda: None,
                reload=self.reload,
                probe_now=self.probe_now,
                clock_time=lambda: self.now,
                version="1.2.3",
            )
        )
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(application), base_url="http://exporter"
        ) as client:
            yield client
