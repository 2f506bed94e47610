"""Tests of the state writer: which changes it writes when, and retries."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from exporter.model import ProbeResult, TargetKey
from exporter.outcome import Outcome
from exporter.state import StateStore, TargetState
from exporter.state.errors import StateFileError, StateFileLostError
from exporter.state.saved_state import SavedProject, SavedState
from exporter.state.saved_target import SavedTarget
from exporter.state.state_file import StateFile
from exporter.state.state_writer import FLUSH_SECONDS, StateWriter
from tests.state.results import TARGET

if TYPE_CHECKING:
    from tests.conftest import FakeClock

TARGETS = [replace(TARGET, key=TargetKey("southwest", f"id-{n}"), name=f"db-{n}") for n in range(5)]


class FakeFile(StateFile):
    """A fake state file that records changes and can fail."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"), lambda: 0.0)
        self.written: list[SavedState] = []
        self.deleted: list[set[TargetKey]] = []
        self.failure: Exception | None = None
        self.was_written = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def write(self, changed: SavedState, gone: Iterable[TargetKey] = ()) -> None:
        if self.failure is not None:
            raise self.failure
        self.written.append(changed)
        self.deleted.append(set(gone))
        self.loop.call_soon_threadsafe(self.was_written.set)


@dataclass
class Wired:
    """A store connected to a writer with a fake file."""

    store: StateStore
    file: FakeFile
    projects: dict[str, SavedProject]
    writer: StateWriter

    def probe(self, number: int, outcome: Outcome = Outcome.TIMEOUT) -> None:
        self.store.record(ProbeResult(TARGETS[number], 1.8e9, outcome))

    @property
    def servers(self) -> list[set[str]]:
        return [{key.server_id for key in one.targets} for one in self.file.written]


@pytest.fixture
async def wired(clock: "FakeClock") -> AsyncIterator[Wired]:
    store, file, projects = StateStore(50), FakeFile(), dict[str, SavedProject]()
    store.reconcile(TARGETS)

    async def snapshot_projects() -> Mapping[str, SavedProject]:
        return dict(projects)

    writer = StateWriter(file, snapshot_projects, clock)
    store.listen(writer)
    yield Wired(store, file, projects, writer)
    await writer.close(1)


async def test_a_changed_target_is_written_once(wired: Wired) -> None:
    wired.probe(0)
    wired.probe(0)
    wired.probe(3)
    await wired.writer.flush()
    wired.probe(1)
    await wired.writer.flush()
    assert wired.servers == [{"id-0", "id-3"}, {"id-1"}]


async def test_nothing_is_written_without_changes(wired: Wired) -> None:
    await wired.writer.flush()
    assert not wired.file.written


async def test_changes_are_written_every_few_seconds(wired: Wired, clock: "FakeClock") -> None:
    assert FLUSH_SECONDS <= 5
    running = asyncio.create_task(wired.writer.run())
    for number in (0, 2):
        wired.probe(number)
        await clock.advance(FLUSH_SECONDS)
        await asyncio.wait_for(wired.file.was_written.wait(), 5)
        wired.file.was_written.clear()
        # Wait for the running write.
        await wired.writer.flush()
        assert wired.servers[-1] == {f"id-{number}"}
    running.cancel()


async def test_restored_state_is_not_written_again(clock: "FakeClock") -> None:
    before = StateStore(50)
    before.reconcile(TARGETS)
    before.record(ProbeResult(TARGETS[0], 1.8e9, Outcome.TIMEOUT))
    store, file = StateStore(50, lambda target: known(before, target.key)), FakeFile()
    store.reconcile(TARGETS)
    writer = StateWriter(file, no_projects, clock)
    store.listen(writer)
    await writer.flush()
    assert not file.written
    store.record(ProbeResult(TARGETS[0], 1.8e9 + 60, Outcome.TIMEOUT))
    await writer.flush()
    await writer.close(1)
    written = file.written[0].target(TARGETS[0])
    assert written is not None
    assert written.consecutive_failures == 2


def known(store: StateStore, key: TargetKey) -> TargetState | None:
    state = store.get(key)
    saved = SavedTarget.of(state) if state else None
    return saved.restored(state.target) if saved and state else None


async def no_projects() -> Mapping[str, SavedProject]:
    return {}


async def test_a_removed_server_is_deleted(wired: Wired) -> None:
    wired.probe(0)
    wired.store.reconcile(TARGETS[1:])
    await wired.writer.flush()
    assert wired.file.deleted == [{TARGETS[0].key}]
    assert wired.servers == [set()]


async def test_a_server_removed_and_added_again_is_deleted_and_written(wired: Wired) -> None:
    wired.probe(0)
    wired.store.reconcile(TARGETS[1:])
    wired.store.reconcile(TARGETS)
    await wired.writer.flush()
    wired.probe(0)
    await wired.writer.flush()
    assert wired.file.deleted[0] == {TARGETS[0].key}
    assert wired.servers[1] == {"id-0"}


async def test_projects_are_written_when_they_change(wired: Wired) -> None:
    wired.projects["southwest"] = SavedProject(rate="slow")
    await wired.writer.flush()
    await wired.writer.flush()
    wired.projects["southwest"] = SavedProject(rate="fast")
    await wired.writer.flush()
    assert [one.projects for one in wired.file.written] == [
        {"southwest": SavedProject(rate="slow")},
        {"southwest": SavedProject(rate="fast")},
    ]


async def test_a_failed_write_is_logged_once_and_retried(wired: Wired, clock: "FakeClock") -> None:
    wired.file.failure = StateFileError("cannot save state in x: disk full")
    wired.projects["southwest"] = SavedProject(rate="slow")
    with capture_logs() as logs:
        wired.probe(0)
        await wired.writer.flush()
        wired.probe(1)
        await wired.writer.flush()
        assert [one["why"] for one in logs] == ["cannot save state in x: disk full"]
        await clock.advance(301)
        await wired.writer.flush()
        assert len(logs) == 2
    wired.file.failure = None
    await wired.writer.flush()
    assert wired.servers == [{"id-0", "id-1"}]
    assert wired.file.written[0].projects == wired.projects


async def test_a_server_removed_during_failed_writes_is_not_written_later(
    wired: Wired,
) -> None:
    wired.file.failure = StateFileError("disk full")
    wired.probe(0)
    with capture_logs():
        await wired.writer.flush()
    wired.store.reconcile(TARGETS[1:])
    wired.file.failure = None
    await wired.writer.flush()
    assert wired.servers == [set()]


async def test_a_replaced_file_gets_the_whole_state(wired: Wired) -> None:
    for number in range(len(TARGETS)):
        wired.probe(number)
    await wired.writer.flush()
    wired.probe(0)
    wired.file.failure = StateFileLostError("it was damaged")
    with capture_logs():
        await wired.writer.flush()
    wired.file.failure = None
    await wired.writer.flush()
    assert wired.servers[-1] == {target.key.server_id for target in TARGETS}


async def test_an_unexpected_error_is_logged_and_writing_continues(wired: Wired) -> None:
    wired.file.failure = ZeroDivisionError()
    wired.probe(0)
    with capture_logs() as logs:
        await wired.writer.flush()
    assert [one["log_level"] for one in logs] == ["error"]
    wired.file.failure = None
    await wired.writer.flush()
    assert wired.servers == [{"id-0"}]


async def test_close_writes_remaining_changes_and_no_later_ones(wired: Wired) -> None:
    wired.probe(0)
    await wired.writer.close(1)
    wired.probe(1)
    await wired.writer.flush()
    assert wired.servers == [{"id-0"}]


async def test_changes_are_written_to_a_real_file(tmp_path: Path, clock: "FakeClock") -> None:
    file = StateFile(tmp_path / "state.db", clock.time)
    file.load()
    store = StateStore(50)
    store.reconcile(TARGETS)
    writer = StateWriter(file, no_projects, clock)
    store.listen(writer)
    for target in TARGETS:
        store.record(ProbeResult(target, clock.time(), Outcome.TIMEOUT))
    await writer.close(5)
    again = StateFile(tmp_path / "state.db", clock.time)
    assert set(again.load().targets) == {target.key for target in TARGETS}
    again.close()
