"""Tests of the state file: restored state, damage, permissions and full disks."""

import os
import resource
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.model import ProbeResult, TargetKey
from exporter.outcome import Outcome
from exporter.state import StateStore, TargetState
from exporter.state.errors import (
    StateFileError,
    StateFileForeignError,
    StateFileInUseError,
    StateFileLostError,
)
from exporter.state.saved_state import SavedProject, SavedState
from exporter.state.saved_target import DamagedStateError, SavedTarget
from exporter.state.state_file import MAX_AGE_SECONDS, StateFile
from tests.state.results import RESULTS, TARGET

NOW = 1_800_000_000.0
TARGETS = [
    replace(TARGET, key=TargetKey("southwest", f"id-{n}"), name=f"db-{n}") for n in range(40)
]
SAVED_PROJECT = SavedProject(rate="a rate", login="a key to the cloud")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@contextmanager
def opened(path: Path, now: float = NOW) -> Iterator[StateFile]:
    file = StateFile(path, lambda: now)
    try:
        yield file
    finally:
        file.close()


def saved_targets(
    outcome: Outcome = Outcome.TIMEOUT, at: float = NOW - 10
) -> dict[TargetKey, SavedTarget]:
    store = StateStore(50)
    store.reconcile(TARGETS)
    for target in TARGETS:
        for age in (120, 60, 0):
            store.record(ProbeResult(target, at - age, outcome, detail=f"{outcome} of {age}"))
    return {state.target.key: saved for state in store if (saved := SavedTarget.of(state))}


def write(
    path: Path, changed: SavedState, gone: Iterable[TargetKey] = (), *, now: float = NOW
) -> None:
    with opened(path, now) as file:
        file.load()
        file.write(changed, gone)


def load(path: Path, now: float = NOW) -> SavedState:
    with opened(path, now) as file:
        return file.load()


def restored(saved_state: SavedState) -> StateStore:
    store = StateStore(50, saved_state.target)
    store.reconcile(TARGETS)
    return store


def test_the_state_of_a_server_is_restored(path: Path) -> None:
    write(path, SavedState(saved_targets()))
    state = restored(load(path)).get(TARGETS[7].key)
    assert state is not None
    assert state.success is False
    assert state.last == ProbeResult(TARGETS[7], NOW - 10, Outcome.TIMEOUT, detail="timeout of 0")
    assert state.last is state.last_attempt is state.last_verdict
    assert (state.consecutive_failures, state.verdict_since) == (3, NOW - 130)
    assert [result.started_at for result in state.history] == [NOW - 130, NOW - 70, NOW - 10]
    assert (state.verdicts, state.failures, state.throttled) == (0, 0, 0)


@given(st.lists(RESULTS, min_size=1, max_size=6))
def test_any_series_of_results_is_restored(results: list[ProbeResult]) -> None:
    store = StateStore(4)
    store.reconcile([TARGET])
    for result in results:
        store.record(result)
    (state,) = store
    saved = SavedTarget.of(state)
    assert saved is not None
    again = saved.restored(TARGET)
    assert same(again, state)
    assert again.restored is again.last


def same(one: TargetState, other: TargetState) -> bool:
    """Return whether everything that is saved is equal."""
    return (
        list(one.history) == list(other.history)
        and replace(
            one,
            history=other.history,
            verdicts=other.verdicts,
            failures=other.failures,
            throttled=other.throttled,
            restored=other.restored,
        )
        == other
    )


@given(st.text() | st.recursive(st.none(), st.lists).map(str), st.binary())
def test_arbitrary_data_is_no_saved_target(line: str, packed: bytes) -> None:
    with pytest.raises(DamagedStateError):
        SavedTarget(NOW, line, packed).restored(TARGET)


def test_a_new_result_continues_the_restored_counts(path: Path) -> None:
    write(path, SavedState(saved_targets()))
    store = restored(load(path))
    store.record(ProbeResult(TARGETS[0], NOW, Outcome.TLS_ERROR))
    state = store.get(TARGETS[0].key)
    assert state is not None
    assert (state.consecutive_failures, state.verdict_since) == (4, NOW - 130)
    assert (state.verdicts, state.failures, len(state.history)) == (1, 1, 4)


def test_a_shorter_history_length_applies_after_a_restart(path: Path) -> None:
    write(path, SavedState(saved_targets()))
    store = StateStore(2, load(path).target)
    store.reconcile(TARGETS)
    assert {len(state.history) for state in store} == {2}


def test_a_removed_server_is_not_restored(path: Path) -> None:
    write(path, SavedState(saved_targets()))
    write(path, SavedState(), gone=[TARGETS[0].key])
    saved_state = load(path)
    assert saved_state.target(TARGETS[0]) is None
    assert saved_state.target(TARGETS[1]) is not None


def test_saved_state_can_be_read_once(path: Path) -> None:
    write(path, SavedState(saved_targets(), projects={"southwest": SAVED_PROJECT}))
    saved_state = load(path)
    assert saved_state.project("southwest") == SAVED_PROJECT
    assert saved_state.project("southwest") == SavedProject()
    assert saved_state.target(TARGETS[0]) is not None
    assert saved_state.target(TARGETS[0]) is None


@pytest.mark.parametrize("now", [NOW + MAX_AGE_SECONDS + 1, NOW - 3600])
def test_state_that_is_too_old_or_from_the_future_is_deleted(path: Path, now: float) -> None:
    write(path, SavedState(saved_targets(), projects={"southwest": SAVED_PROJECT}))
    saved_state = load(path, now)
    assert not saved_state.targets
    assert not saved_state.projects
    assert not load(path).targets


def test_no_secret_is_in_any_repr(path: Path) -> None:
    assert SAVED_PROJECT.login is not None
    changes = SavedState(saved_targets(), projects={"southwest": SAVED_PROJECT})
    write(path, changes)
    assert SAVED_PROJECT.login not in f"{SAVED_PROJECT!r} {changes!r} {load(path)!r}"


class TestPermissions:
    def test_the_file_is_private_from_the_start(self, path: Path) -> None:
        old = os.umask(0)
        try:
            with opened(path) as file:
                file.load()
                file.write(SavedState(saved_targets(), projects={"southwest": SAVED_PROJECT}))
                made = sorted(path.parent.iterdir())
                assert {stat.S_IMODE(one.stat().st_mode) for one in made} == {0o600}
                assert path in made
        finally:
            os.umask(old)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_a_login_readable_by_others_is_neither_used_nor_kept(
        self, path: Path, mode: int
    ) -> None:
        write(path, SavedState(saved_targets(), projects={"southwest": SAVED_PROJECT}))
        path.chmod(mode)
        with capture_logs() as logs, opened(path) as file:
            saved_state = file.load()
            assert saved_state.project("southwest") == SavedProject(rate="a rate")
            assert len(saved_state.targets) == len(TARGETS)
            file.write(SavedState(projects={"southwest": SAVED_PROJECT}))
            file.write(SavedState(projects={"east": SAVED_PROJECT}))
        assert [one["event"] for one in logs] == [
            "state file readable by other users, login not saved"
        ]
        assert logs[0]["cure"].startswith(f"chmod 600 {path}")
        assert b"a key to the cloud" not in path.read_bytes()

    def test_the_login_is_saved_again_once_the_file_is_private(self, path: Path) -> None:
        write(path, SavedState())
        path.chmod(0o644)
        with capture_logs(), opened(path) as file:
            file.load()
            path.chmod(0o600)
            file.write(SavedState(projects={"southwest": SAVED_PROJECT}))
        assert load(path).project("southwest") == SAVED_PROJECT


def flipped(path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - no secret
    content = bytearray(path.read_bytes())
    for _ in range(random.choice((1, 8, 200))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


class TestDamage:
    @pytest.mark.parametrize("seed", range(40))
    def test_flipped_bits_neither_prevent_the_start_nor_change_state(
        self, path: Path, seed: int
    ) -> None:
        expected = saved_targets()
        write(path, SavedState(expected))
        flipped(path, seed)
        with opened(path) as file, capture_logs():
            try:
                saved_state = file.load()
            except StateFileForeignError:
                # The flipped bit was in the application id.
                return
            for target in TARGETS:
                found = saved_state.target(target)
                assert found is None or SavedTarget.of(found) == expected[target.key]
            write_again(file)
        assert len(load(path).targets) == len(TARGETS)

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
    def test_a_truncated_file_is_renamed_and_replaced(self, path: Path, share: float) -> None:
        write(path, SavedState(saved_targets()))
        size = path.stat().st_size
        os.truncate(path, int(size * share))
        with opened(path) as file, capture_logs() as logs:
            assert not file.load().targets
            write_again(file)
        assert len(load(path).targets) == len(TARGETS)
        if share:
            assert (path.parent / "state.db.corrupt").stat().st_size == int(size * share)
            assert logs[0]["event"] == "damaged state file replaced"

    def test_a_file_that_is_no_database_is_renamed(self, path: Path) -> None:
        path.write_bytes(b"\0\xff" * 10_000)
        with capture_logs() as logs:
            assert not load(path).targets
        assert (path.parent / "state.db.corrupt").read_bytes().startswith(b"\0\xff")
        assert [one["log_level"] for one in logs] == ["warning"]

    def test_a_newer_schema_version_is_renamed(self, path: Path) -> None:
        write(path, SavedState(saved_targets()))
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA user_version = 2")
        with capture_logs() as logs:
            assert not load(path).targets
        assert logs[0]["why"] == "schema version 2 found, 1 expected"
        assert (path.parent / "state.db.corrupt").exists()

    def test_another_programs_database_is_not_changed(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE dashboards (id)")
            database.commit()
        before = path.read_bytes()
        with opened(path) as file, pytest.raises(StateFileForeignError, match="not overwritten"):
            file.load()
        assert path.read_bytes() == before
        assert [one.name for one in path.parent.iterdir()] == ["state.db"]

    def test_a_text_file_is_not_changed(self, path: Path) -> None:
        path.write_text("projects:\n  - name: southwest\n")
        with opened(path) as file, pytest.raises(StateFileForeignError, match="is a text file"):
            file.load()
        assert path.read_text().startswith("projects:")

    def test_a_folder_is_an_error(self, path: Path) -> None:
        path.mkdir()
        with (
            opened(path) as file,
            pytest.raises(StateFileForeignError, match="is not a regular file"),
        ):
            file.load()

    def test_damage_found_while_writing_creates_a_new_file(self, path: Path) -> None:
        with opened(path) as file:
            file.load()
            file.write(SavedState(saved_targets()))
            file.close()
            path.write_bytes(b"overwritten\0" * 1000)
            with capture_logs(), pytest.raises(StateFileLostError):
                file.write(SavedState(saved_targets()))
            file.write(SavedState(saved_targets(Outcome.SUCCESS)))
        assert len(load(path).targets) == len(TARGETS)


def write_again(file: StateFile) -> None:
    try:
        file.write(SavedState(saved_targets()))
    except StateFileLostError:
        file.write(SavedState(saved_targets()))


class TestWriteErrors:
    def test_a_missing_folder_is_an_error_and_is_retried(self, tmp_path: Path) -> None:
        path = tmp_path / "later" / "state.db"
        with opened(path) as file:
            with pytest.raises(StateFileError, match="No such file"):
                file.load()
            with pytest.raises(StateFileError, match="No such file"):
                file.write(SavedState(saved_targets()))
            path.parent.mkdir()
            file.write(SavedState(saved_targets()))
        assert len(load(path).targets) == len(TARGETS)

    def test_a_read_only_folder_is_an_error(self, tmp_path: Path) -> None:
        folder = tmp_path / "theirs"
        folder.mkdir(mode=0o500)
        with nobody(), opened(folder / "state.db") as file:
            with pytest.raises(StateFileError, match="Permission denied"):
                file.load()
            with pytest.raises(StateFileError, match="Permission denied"):
                file.write(SavedState(saved_targets()))

    def test_a_full_disk_keeps_what_was_written(self, path: Path) -> None:
        write(path, SavedState(saved_targets(), projects={"southwest": SAVED_PROJECT}))
        with opened(path) as file:
            file.load()
            with disk_full(16_384), pytest.raises(StateFileError, match="cannot save"):
                write_often(file)
            assert_consistent(load_copy(path))
            file.write(SavedState(saved_targets(Outcome.SUCCESS)))
        (state, *_) = restored(load(path))
        assert state.success is True

    def test_a_disk_full_from_the_start_is_an_error(self, path: Path) -> None:
        with opened(path) as file:
            with disk_full(0), pytest.raises(StateFileError, match="cannot save state"):
                file.load()
            file.write(SavedState(saved_targets()))
        assert len(load(path).targets) == len(TARGETS)


def write_often(file: StateFile) -> None:
    for _ in range(20):
        file.write(SavedState(saved_targets(Outcome.SUCCESS)))


def load_copy(path: Path) -> SavedState:
    """Load what a new process would find if this one were killed now."""
    for suffix in ("", "-wal"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            path.with_name(f"copy.db{suffix}").write_bytes(companion.read_bytes())
            path.with_name(f"copy.db{suffix}").chmod(0o600)
    return load(path.with_name("copy.db"))


def assert_consistent(saved_state: SavedState) -> None:
    assert saved_state.project("southwest") == SAVED_PROJECT
    outcomes = {state.last.outcome for state in restored(saved_state) if state.last}
    assert len(outcomes) == 1


@contextmanager
def disk_full(size: int) -> Iterator[None]:
    """Limit the size of files to ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def nobody() -> Iterator[None]:
    """Drop root privileges, for which permissions are not checked, if there are any."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_two_exporters_cannot_use_one_file(path: Path) -> None:
    with opened(path) as first, opened(path) as second:
        first.load()
        with pytest.raises(StateFileInUseError, match="set a separate file"):
            second.load()
        first.close()
        second.load()


def test_a_file_in_use_is_neither_damaged_nor_renamed(path: Path) -> None:
    with opened(path) as first, opened(path) as second:
        first.load()
        first.write(SavedState(saved_targets()))
        with pytest.raises(StateFileInUseError):
            second.write(SavedState(saved_targets(Outcome.SUCCESS)))
        first.write(SavedState(projects={"southwest": SAVED_PROJECT}))
    assert_consistent(load(path))


def test_only_changes_are_written(path: Path) -> None:
    with opened(path) as file:
        file.load()
        file.write(SavedState(saved_targets()))
        key, saved = next(iter(saved_targets().items()))

        def log_size(write: Callable[[], None]) -> int:
            before = path.with_name("state.db-wal").stat().st_size
            write()
            return path.with_name("state.db-wal").stat().st_size - before

        assert log_size(lambda: file.write(SavedState({key: saved}))) < 5 * 4200
