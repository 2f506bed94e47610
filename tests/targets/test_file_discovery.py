"""Tests of discovery from server files: changes are read, invalid files are ignored."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.config.config import Project
from exporter.config.server_file import read_server_file
from exporter.targets.file_discovery import FileDiscovery

READ = "exporter.targets.file_discovery.read_server_file"
GOOD = "- {id: a}\n- {id: b}\n"


def record_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that receives the name of each file that is read."""
    read: list[str] = []

    def recording(path: Path, defaults: Any) -> Any:
        read.append(path.name)
        return read_server_file(path, defaults)

    monkeypatch.setattr(READ, recording)
    return read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(GOOD)
    return tmp_path


@pytest.fixture
async def discovery(
    folder: Path, project: Callable[..., Project], observer: Any, clock: Any
) -> FileDiscovery:
    """Return a discovery that has read the files of the folder."""
    discovery = FileDiscovery(
        project(f"{folder}/*.yaml"), send=observer.send, observer_of=lambda _: observer, clock=clock
    )
    targets = await discovery.read()
    discovery.report()
    assert targets is not None
    await observer.send(targets)
    return discovery


async def test_unchanged_files_are_current_and_not_read_again(
    discovery: FileDiscovery, observer: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert observer.ids == ["a", "b"]
    monkeypatch.setattr(READ, lambda *_: pytest.fail("it was read again"))
    await clock.advance(60)
    await discovery.check()
    assert observer.refreshes == [("file", clock.time() - 60)]
    assert observer.currents == [("file", clock.time())]
    assert len(observer.sent) == 1


async def test_a_replaced_file_is_read_once_it_is_unchanged_for_two_checks(
    discovery: FileDiscovery, folder: Path, observer: Any
) -> None:
    (folder / "new").write_text("- {id: c, name: web-01}\n")
    (folder / "new").rename(folder / "a.yaml")
    await discovery.check()
    assert observer.ids == ["a", "b"]
    await discovery.check()
    assert observer.ids == ["c"]
    assert len(observer.refreshes) == 2


async def test_a_file_that_keeps_changing_is_not_read(
    discovery: FileDiscovery, folder: Path, observer: Any
) -> None:
    with (folder / "a.yaml").open("w") as writing:
        for number in range(5):
            # The file is valid after each line.
            writing.write(f"- {{id: n{number}}}\n")
            writing.flush()
            await discovery.check()
            assert observer.ids == ["a", "b"]
    await discovery.check()
    assert observer.ids == [f"n{number}" for number in range(5)]


async def test_an_incomplete_file_keeps_the_old_list_and_is_logged_once(
    discovery: FileDiscovery, folder: Path, observer: Any
) -> None:
    (folder / "a.yaml").write_text("- {id: a}\n- {id: b, na")
    with capture_logs() as logs:
        for _ in range(4):
            await discovery.check()
    assert len(observer.sent) == 1
    assert observer.failures == ["file"]
    [event] = logs
    assert event["log_level"] == "error"
    assert event["project"] == "southwest"
    assert f"{folder}/a.yaml:3:1: not valid YAML" in event["error"]
    assert observer.currents == []
    (folder / "a.yaml").write_text("- {id: a}\n- {id: b, name: web-01}\n- {id: c}\n")
    for _ in range(2):
        await discovery.check()
    assert observer.ids == ["a", "b", "c"]


async def test_one_invalid_file_keeps_the_servers_of_all_files(
    discovery: FileDiscovery, folder: Path, observer: Any
) -> None:
    (folder / "a.yaml").write_text("- {id: z}\n")
    (folder / "b.yaml").write_text("- {id: z}\n")
    with capture_logs() as logs:
        for _ in range(3):
            await discovery.check()
    assert observer.ids == ["a", "b"]
    assert "b.yaml:1:8: [0].id: expected a unique id, but" in logs[0]["error"]
    assert "a.yaml:1:8" in logs[0]["error"]


async def test_removed_and_new_files_change_the_servers(
    discovery: FileDiscovery, folder: Path, observer: Any
) -> None:
    (folder / "b.yaml").write_text("- {id: c}\n")
    for _ in range(2):
        await discovery.check()
    assert observer.ids == ["a", "b", "c"]
    (folder / "a.yaml").unlink()
    for _ in range(2):
        await discovery.check()
    assert observer.ids == ["c"]


async def test_only_a_changed_file_is_read_again(
    discovery: FileDiscovery, folder: Path, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = record_reads(monkeypatch)
    (folder / "b.yaml").write_text("- {id: c}\n")
    for _ in range(2):
        await discovery.check()
    assert observer.ids == ["a", "b", "c"]
    assert read == ["b.yaml"]


async def test_files_are_read_again_if_their_servers_inherit_other_settings(
    discovery: FileDiscovery, observer: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = record_reads(monkeypatch)
    for interval in (60.0, 30.0):
        after = FileDiscovery(
            replace(discovery.project, interval=interval),
            send=observer.send,
            observer_of=lambda _: observer,
            clock=clock,
            before=discovery,
        )
        targets = await after.read()
        assert targets is not None
        assert {target.interval for target in targets} == {interval}
    assert read == ["a.yaml"]


async def test_a_missing_folder_keeps_its_servers(
    discovery: FileDiscovery, folder: Path, observer: Any
) -> None:
    folder.rename(folder.with_name("unmounted"))
    for _ in range(2):
        await discovery.check()
    assert len(observer.sent) == 1
    assert observer.failures == ["file"]
    folder.with_name("unmounted").rename(folder)
    for _ in range(2):
        await discovery.check()
    assert observer.ids == ["a", "b"]


async def test_changed_permissions_cause_a_new_read(
    discovery: FileDiscovery, folder: Path, observer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root can read the file in either mode and sees the change as well.
    read = record_reads(monkeypatch)
    for mode in (0, 0o600):
        (folder / "a.yaml").chmod(mode)
        for _ in range(2):
            await discovery.check()
    assert read == ["a.yaml", "a.yaml"]
    assert observer.ids == ["a", "b"]


async def test_the_number_of_logged_errors_is_limited(
    discovery: FileDiscovery, folder: Path
) -> None:
    (folder / "a.yaml").write_text("- {id: /}\n" * 1000)
    with capture_logs() as logs:
        for _ in range(2):
            await discovery.check()
    assert len(logs) == 21
    assert logs[-1]["error"] == "and 980 more"
