"""Tests of which discovery runs, and of the effects of a reload on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from exporter.cloud.server_list import ListedServer
from exporter.config.config import Discovery, Project, ServerEntry
from exporter.model import Stage, Target
from exporter.targets.discoverers import Discoverers
from exporter.targets.source import Source


@dataclass
class FakeLister:
    """Lists a number of servers and counts its calls."""

    count: int
    calls: int = 0

    async def server_pages(
        self,
        *,
        manage_state: str | None,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[list[ListedServer]]:
        del manage_state, timeout
        self.calls += 1
        ids = [f"id-{number}" for number in range(self.count)]
        yield [ListedServer(one, one, "in-use", "on", "OK", {}, {}) for one in ids]


@dataclass
class Parts:
    project: Project
    client: FakeLister


@dataclass
class Bench:
    discoverers: Discoverers
    sent: list[tuple[str, Source, int]] = field(default_factory=list)

    async def update(self, *parts: Parts, known: int = 0) -> None:
        files = await self.discoverers.read_files(one.project for one in parts)
        by_name = {one.project.name: one for one in parts}
        self.discoverers.update(by_name, files, lambda _: known)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition; lists are read in threads."""
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.005)
        pytest.fail("it did not happen")


@pytest.fixture
async def bench(observer: Any, clock: Any) -> AsyncIterator[Bench]:
    sent: list[tuple[str, Source, int]] = []

    async def send(name: str, source: Source, targets: list[Target]) -> None:
        sent.append((name, source, len(targets)))

    discoverers = Discoverers(send=send, observer_of=lambda _: observer, clock=clock)
    yield Bench(discoverers, sent)
    await discoverers.stop()


@pytest.fixture
def cloud_project(project: Callable[..., Project]) -> Project:
    return project(discovery=Discovery())


async def test_unchanged_discovery_continues_after_a_reload(
    bench: Bench, cloud_project: Project
) -> None:
    lister = FakeLister(3)
    await bench.update(Parts(cloud_project, lister))
    await bench.until(lambda: bench.sent == [("southwest", Source.CLOUD, 3)])
    more = replace(cloud_project, servers=(ServerEntry("a", "a", 60.0, 5.0, Stage.API),))
    await bench.update(Parts(more, lister), known=3)
    await asyncio.sleep(0.05)
    assert lister.calls == 1


async def test_changed_discovery_settings_restart_the_list_at_once(
    bench: Bench, cloud_project: Project
) -> None:
    lister = FakeLister(3)
    await bench.update(Parts(cloud_project, lister))
    await bench.until(lambda: bench.sent)
    # The shorter list is due to the new settings and needs no confirmation.
    lister.count = 1
    changed = replace(cloud_project, discovery=Discovery(manage_state=()))
    await bench.update(Parts(changed, lister), known=3)
    await bench.until(lambda: bench.sent[1:] == [("southwest", Source.CLOUD, 1)])


async def test_a_shrunk_list_after_a_new_login_needs_confirmation(
    bench: Bench, cloud_project: Project, observer: Any
) -> None:
    await bench.update(Parts(cloud_project, FakeLister(3)))
    await bench.until(lambda: len(observer.refreshes) == 1)
    other = FakeLister(1)
    await bench.update(Parts(cloud_project, other), known=3)
    await bench.until(lambda: len(observer.refreshes) == 2)
    assert other.calls == 1
    assert bench.sent[1:] == []


async def test_discovery_of_a_removed_project_stops(
    bench: Bench, cloud_project: Project, clock: Any
) -> None:
    lister = FakeLister(3)
    await bench.update(Parts(cloud_project, lister))
    await bench.until(lambda: bench.sent)
    await bench.update()
    await clock.advance(3600)
    assert lister.calls == 1


async def test_files_are_read_first_and_watched_after_the_update(
    bench: Bench, project: Callable[..., Project], tmp_path: Path, observer: Any
) -> None:
    (tmp_path / "a.yaml").write_text("- {id: a}\n")
    cloud_project = project(f"{tmp_path}/*.yaml")
    [(_, targets)] = (await bench.discoverers.read_files([cloud_project])).items()
    assert targets is not None
    assert [one.key.server_id for one in targets] == ["a"]
    assert observer.refreshes == []
    await bench.update(Parts(cloud_project, FakeLister(0)))
    assert len(observer.refreshes) == 1
