"""What runs for which project, and what a reload ends, keeps and starts."""

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
    """Lists some servers at once, and counts how often it was asked."""

    count: int
    asked: int = 0

    async def server_pages(
        self,
        *,
        manage_state: str | None,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[list[ListedServer]]:
        del manage_state, timeout
        self.asked += 1
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
        """Wait for what threads do: they read the lists."""
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.005)
        pytest.fail("it did not happen")


@pytest.fixture
async def bench(heard: Any, clock: Any) -> AsyncIterator[Bench]:
    sent: list[tuple[str, Source, int]] = []

    async def send(name: str, source: Source, targets: list[Target]) -> None:
        sent.append((name, source, len(targets)))

    discoverers = Discoverers(send=send, observer_of=lambda _: heard, clock=clock)
    yield Bench(discoverers, sent)
    await discoverers.stop()


@pytest.fixture
def asking(project: Callable[..., Project]) -> Project:
    return project(discovery=Discovery())


async def test_a_list_goes_on_where_nothing_changed_that_it_depends_on(
    bench: Bench, asking: Project
) -> None:
    lister = FakeLister(3)
    await bench.update(Parts(asking, lister))
    await bench.until(lambda: bench.sent == [("southwest", Source.CLOUD, 3)])
    more = replace(asking, servers=(ServerEntry("a", "a", 60.0, 5.0, Stage.API),))
    await bench.update(Parts(more, lister), known=3)
    await asyncio.sleep(0.05)
    assert lister.asked == 1


async def test_a_list_starts_anew_at_once_where_it_is_asked_for_differently(
    bench: Bench, asking: Project
) -> None:
    lister = FakeLister(3)
    await bench.update(Parts(asking, lister))
    await bench.until(lambda: bench.sent)
    # Much shorter because of the change, which is no reason to doubt it.
    lister.count = 1
    changed = replace(asking, discovery=Discovery(manage_state=()))
    await bench.update(Parts(changed, lister), known=3)
    await bench.until(lambda: bench.sent[1:] == [("southwest", Source.CLOUD, 1)])


async def test_a_new_login_is_no_reason_to_believe_a_list_that_shrank(
    bench: Bench, asking: Project, heard: Any
) -> None:
    await bench.update(Parts(asking, FakeLister(3)))
    await bench.until(lambda: len(heard.refreshes) == 1)
    other = FakeLister(1)
    await bench.update(Parts(asking, other), known=3)
    await bench.until(lambda: len(heard.refreshes) == 2)
    assert other.asked == 1
    assert bench.sent[1:] == []


async def test_nothing_runs_on_for_a_project_that_is_gone(
    bench: Bench, asking: Project, clock: Any
) -> None:
    lister = FakeLister(3)
    await bench.update(Parts(asking, lister))
    await bench.until(lambda: bench.sent)
    await bench.update()
    await clock.advance(3600)
    assert lister.asked == 1


async def test_files_are_read_before_and_watched_after(
    bench: Bench, project: Callable[..., Project], tmp_path: Path, heard: Any
) -> None:
    (tmp_path / "a.yaml").write_text("- {id: a}\n")
    asking = project(f"{tmp_path}/*.yaml")
    [(_, targets)] = (await bench.discoverers.read_files([asking])).items()
    assert targets is not None
    assert [one.key.server_id for one in targets] == ["a"]
    assert heard.refreshes == []
    await bench.update(Parts(asking, FakeLister(0)))
    assert len(heard.refreshes) == 1
