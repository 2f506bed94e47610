"""A fake running exporter, and a client of its API."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from exporter.metrics.exposition import Exposition
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, ProjectStatus, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome
from exporter.state import StateStore
from exporter.web.application import web_application
from exporter.web.exporter_view import ExporterView

NOW = 1_800_000_000.0
PROJECTS = [
    ProjectStatus("southwest", "cn-southwest-2", 2.5, 5.0, 3, NOW - 60, NOW + 3600.0004),
    ProjectStatus("east", "cn-east-3", 5.0, 5.0, 0),
]


@dataclass
class FakeExporter:
    """A fake running exporter with configurable servers and results."""

    state: StateStore = field(default_factory=lambda: StateStore(history_length=3))
    outcome: Outcome = Outcome.SUCCESS
    unready: str | None = None
    incomplete: str | None = None
    probed: list[tuple[Target, float]] = field(default_factory=list)

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
            self.state.record(result(target, outcome, NOW - 10 - 60 * ago))
        return target

    async def probe_now(self, target: Target, seconds: float) -> ProbeResult:
        self.probed.append((target, seconds))
        return result(target, self.outcome, NOW)

    async def reload(self) -> None:
        """Do nothing."""

    def application(self) -> Starlette:
        """Return the web application of this exporter."""
        return web_application(
            ExporterView(
                state=self.state,
                projects=lambda: PROJECTS,
                exposition=Exposition(ServerSeries(), CollectorRegistry()),
                scraped=lambda _: None,
                config_yaml=lambda: "projects: []\n",
                not_ready=lambda: self.unready,
                incomplete=lambda: self.incomplete,
                reload=self.reload,
                probe_now=self.probe_now,
                clock_time=lambda: NOW,
                version="1.2.3",
            )
        )


def result(target: Target, outcome: Outcome, started_at: float) -> ProbeResult:
    passed = outcome is Outcome.SUCCESS
    return ProbeResult(
        target,
        started_at,
        outcome,
        None if passed else Stage.API,
        200 if passed else 500,
        stages=() if outcome is Outcome.SKIPPED else (StageTiming(Stage.API, 0.25, passed),),
        detail="" if passed else f"it was {outcome}",
    )


@pytest.fixture
def fake() -> FakeExporter:
    return FakeExporter()


@pytest.fixture
async def client(fake: FakeExporter) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(fake.application()), base_url="http://exporter"
    ) as client:
        yield client
