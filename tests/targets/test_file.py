"""Server files are read when they change, and whatever is wrong with them changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.config.config import Project
from exporter.config.server_file import read_server_file
from exporter.targets.file import FileDiscovery

READ = "exporter.targets.file.read_server_file"
GOOD = "- {id: a}\n- {id: b}\n"


def noted_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are read from now on."""
    read: list[str] = []

    def noted(path: Path) -> Any:
        read.append(path.name)
        return read_server_file(path)

    monkeypatch.setattr(READ, noted)
    return read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(GOOD)
    return tmp_path


@pytest.fixture
async def discovery(
    folder: Path, project: Callable[..., Project], heard: Any, clock: Any
) -> FileDiscovery:
    """Return one that has read the folder's files at the start."""
    discovery = FileDiscovery(
        project(f"{folder}/*.yaml"), send=heard.send, observer_of=lambda _: heard, clock=clock
    )
    targets = await discovery.read()
    discovery.report()
    assert targets is not None
    await heard.send(targets)
    return discovery


async def test_files_that_stay_the_same_are_current_and_not_read_again(
    discovery: FileDiscovery, heard: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert heard.ids == ["a", "b"]
    monkeypatch.setattr(READ, lambda _: pytest.fail("it was read again"))
    await clock.advance(60)
    await discovery.check()
    assert heard.refreshes == [("file", clock.time() - 60)]
    assert heard.currents == [("file", clock.time())]
    assert len(heard.sent) == 1


async def test_a_file_that_is_renamed_into_place_is_read_when_it_was_left_alone_for_a_look(
    discovery: FileDiscovery, folder: Path, heard: Any
) -> None:
    (folder / "new").write_text("- {id: c, name: web-01}\n")
    (folder / "new").rename(folder / "a.yaml")
    await discovery.check()
    assert heard.ids == ["a", "b"]
    await discovery.check()
    assert heard.ids == ["c"]
    assert len(heard.refreshes) == 2


async def test_a_file_that_is_still_being_written_is_not_read(
    discovery: FileDiscovery, folder: Path, heard: Any
) -> None:
    with (folder / "a.yaml").open("w") as writing:
        for number in range(5):
            # Each line a whole list by itself.
            writing.write(f"- {{id: n{number}}}\n")
            writing.flush()
            await discovery.check()
            assert heard.ids == ["a", "b"]
    await discovery.check()
    assert heard.ids == [f"n{number}" for number in range(5)]


async def test_a_half_written_file_keeps_the_old_list_and_is_told_once_with_its_place(
    discovery: FileDiscovery, folder: Path, heard: Any
) -> None:
    (folder / "a.yaml").write_text("- {id: a}\n- {id: b, na")
    with capture_logs() as logs:
        for _ in range(4):
            await discovery.check()
    assert len(heard.sent) == 1
    assert heard.failures == ["file"]
    [event] = logs
    assert event["log_level"] == "error"
    assert event["project"] == "southwest"
    assert f"{folder}/a.yaml:3:1: not valid YAML" in event["error"]
    assert heard.currents == []
    (folder / "a.yaml").write_text("- {id: a}\n- {id: b, name: web-01}\n- {id: c}\n")
    for _ in range(2):
        await discovery.check()
    assert heard.ids == ["a", "b", "c"]


async def test_one_wrong_file_keeps_the_servers_of_all_files(
    discovery: FileDiscovery, folder: Path, heard: Any
) -> None:
    (folder / "a.yaml").write_text("- {id: z}\n")
    (folder / "b.yaml").write_text("- {id: z}\n")
    with capture_logs() as logs:
        for _ in range(3):
            await discovery.check()
    assert heard.ids == ["a", "b"]
    assert "b.yaml:1:8: [0].id: expected a unique id, but" in logs[0]["error"]
    assert "a.yaml:1:8" in logs[0]["error"]


async def test_a_removed_file_takes_its_servers_with_it_and_a_new_one_brings_its_own(
    discovery: FileDiscovery, folder: Path, heard: Any
) -> None:
    (folder / "b.yaml").write_text("- {id: c}\n")
    for _ in range(2):
        await discovery.check()
    assert heard.ids == ["a", "b", "c"]
    (folder / "a.yaml").unlink()
    for _ in range(2):
        await discovery.check()
    assert heard.ids == ["c"]


async def test_only_the_file_that_changed_is_read_again(
    discovery: FileDiscovery, folder: Path, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = noted_reads(monkeypatch)
    (folder / "b.yaml").write_text("- {id: c}\n")
    for _ in range(2):
        await discovery.check()
    assert heard.ids == ["a", "b", "c"]
    assert read == ["b.yaml"]


async def test_a_folder_that_is_gone_keeps_its_servers(
    discovery: FileDiscovery, folder: Path, heard: Any
) -> None:
    folder.rename(folder.with_name("unmounted"))
    for _ in range(2):
        await discovery.check()
    assert len(heard.sent) == 1
    assert heard.failures == ["file"]
    folder.with_name("unmounted").rename(folder)
    for _ in range(2):
        await discovery.check()
    assert heard.ids == ["a", "b"]


async def test_a_file_becomes_readable_without_a_change_of_what_it_holds(
    discovery: FileDiscovery, folder: Path, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever may read all files sees the change all the same.
    read = noted_reads(monkeypatch)
    for mode in (0, 0o600):
        (folder / "a.yaml").chmod(mode)
        for _ in range(2):
            await discovery.check()
    assert read == ["a.yaml", "a.yaml"]
    assert heard.ids == ["a", "b"]


async def test_many_mistakes_are_not_many_log_events(
    discovery: FileDiscovery, folder: Path
) -> None:
    (folder / "a.yaml").write_text("- {id: /}\n" * 1000)
    with capture_logs() as logs:
        for _ in range(2):
            await discovery.check()
    assert len(logs) == 21
    assert logs[-1]["error"] == "and 980 more"
