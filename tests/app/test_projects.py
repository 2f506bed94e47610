"""Tests of how a new configuration replaces the components of projects."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from exporter.app.background_tasks import BackgroundTasks
from exporter.app.projects import Projects
from exporter.config.config import Project, RateLimit, Tls
from exporter.config.load import load
from exporter.metrics.instruments import Instruments
from exporter.state.saved_state import SavedState
from exporter.targets.sharding import UNSHARDED

_CONFIG = """
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: "0123"
    auth: {type: aksk, access_key: AK, secret_key: SK}
    servers: [{id: a}]
  - name: east
    region: cn-east-3
    project_id: "4567"
    auth: {type: aksk, access_key: AK, secret_key: SK}
    servers: [{id: b}]
"""
GRACE = 7.0


@dataclass
class Running:
    projects: Projects
    configured: Sequence[Project]
    names_with_series: Callable[[], set[str]]

    def reconfigure(self, *projects: Project) -> set[str]:
        return self.projects.reconfigure(projects, lambda _: GRACE)


@pytest.fixture
async def running(clock: Any, tmp_path: Path) -> AsyncIterator[Running]:
    path = tmp_path / "config.yaml"
    path.write_text(_CONFIG)
    background = BackgroundTasks()
    instruments = Instruments(
        "1.2.3",
        projects=lambda: projects.statuses(),  # noqa: PLW0108 - defined below
        targets=lambda: 0,
        overdue_servers=lambda: 0,
        event_loop_lag=lambda: 0,
    )
    projects = Projects(
        instruments=instruments,
        saved=SavedState(),
        shard=UNSHARDED,
        background=background,
        clock=clock,
    )

    def names_with_series() -> set[str]:
        samples = (one for metric in instruments.registry.collect() for one in metric.samples)
        return {one.labels["project"] for one in samples if "project" in one.labels}

    running = Running(projects, load(path, {}).projects, names_with_series)
    running.reconfigure(*running.configured)
    yield running
    await background.cancel()
    await projects.aclose()


async def test_only_projects_with_new_connection_settings_are_rebuilt(running: Running) -> None:
    before = dict(running.projects)
    southwest, east = running.configured
    slower = replace(east, rate_limit=RateLimit(1.0, 1))
    assert running.reconfigure(replace(southwest, interval=5.0), slower) == {"east"}
    assert list(running.projects) == ["southwest", "east"]
    assert running.projects["southwest"].throttle is before["southwest"].throttle
    assert running.projects["southwest"].project.interval == 5.0
    assert running.projects["east"].throttle is not before["east"].throttle
    assert [one.ceiling for one in running.projects.statuses()][1] == 1.0


async def test_removed_project_has_no_series(running: Running) -> None:
    assert running.names_with_series() == {"southwest", "east"}
    running.reconfigure(running.configured[1])
    assert running.names_with_series() == {"east"}


async def test_project_that_cannot_be_built_changes_nothing(
    running: Running, tmp_path: Path
) -> None:
    before = dict(running.projects)
    southwest, east = running.configured
    broken = Tls(ca_file=tmp_path / "missing.pem")
    with pytest.raises(FileNotFoundError):
        running.reconfigure(
            replace(southwest, interval=5.0),
            replace(east, name="new"),
            replace(east, tls=broken),
        )
    assert dict(running.projects) == before
    assert running.names_with_series() == {"southwest", "east"}


async def test_replaced_connections_are_closed_after_the_last_probe(
    running: Running, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    async def aclose(parts: Any) -> None:
        closed.append(parts.project.name)

    monkeypatch.setattr("exporter.app.project.ProjectParts.aclose", aclose)
    running.reconfigure(running.configured[0])
    await clock.advance(GRACE - 0.1)
    assert closed == []
    await clock.advance(0.2)
    assert closed == ["east"]
