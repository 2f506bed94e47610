"""Save state in a SQLite file that survives restarts.

The write-ahead log makes each transaction atomic, even if the program is killed. The file is locked
while it is open, because two exporters with one file would overwrite each other's state. The file
contains logins, so it is readable only by its owner.
"""

import os
import sqlite3
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import starmap
from pathlib import Path

import structlog

from exporter.model import TargetKey
from exporter.state.errors import (
    StateFileError,
    StateFileForeignError,
    StateFileInUseError,
    StateFileLostError,
)
from exporter.state.saved_state import SavedProject, SavedState
from exporter.state.saved_target import SavedTarget

MAX_AGE_SECONDS = 48 * 3600.0
"""Older state is dropped; intervals are at most 24 hours."""

_SCHEMA_VERSION = 1
_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID = 0x436E5370
# Tolerance for a clock that was corrected between two starts.
_FUTURE_SECONDS = 60.0
_LOCK_TIMEOUT_SECONDS = 2.0
_PRIVATE = 0o600
_OTHERS = 0o077
_DAMAGED_SUFFIX = ".corrupt"
_COMPANION_SUFFIXES = ("-wal", "-journal", "-shm")
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY_CODE = 0xFF

_SCHEMA = (
    """
    CREATE TABLE target (
        project TEXT, server_id TEXT, at REAL NOT NULL, checksum INTEGER NOT NULL,
        memory TEXT NOT NULL, history BLOB NOT NULL, PRIMARY KEY (project, server_id)
    )""",
    """
    CREATE TABLE note (
        project TEXT PRIMARY KEY, at REAL NOT NULL, checksum INTEGER NOT NULL,
        pace TEXT, login TEXT
    )""",
)
# Updates rows in place. So they stay in the order of the schedule: servers that are written at the
# same time share database pages, and one write changes few pages.
_PUT_TARGET = """
    INSERT INTO target VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at,
    checksum = excluded.checksum, memory = excluded.memory, history = excluded.history"""
_PUT_PROJECT = "INSERT OR REPLACE INTO note VALUES (?, ?, ?, ?, ?)"

log = structlog.get_logger(__name__)


class _DamagedError(Exception):
    """The file is damaged; the message says how."""


class StateFile:
    """A state file, for use by one thread at a time; any thread may use it.

    Nothing is opened before `load` or `write`. ``now`` returns Unix time in seconds.
    """

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.path = path
        self._now = now
        self._database: sqlite3.Connection | None = None
        self._has_warned_of_readers = False

    def load(self) -> SavedState:
        """Open the file, create it if missing, and return its content that is still valid.

        A damaged file, or one of a newer version, is renamed to ``….corrupt`` and replaced. Raises
        `StateFileInUseError`, or `StateFileError` if it cannot be used now: `write` tries again.
        """
        try:
            return self._read(self._open())
        except (OSError, sqlite3.Error, _DamagedError) as error:
            if not _is_damage(error):
                raise self._error(error) from None
            self._replace_damaged(error)
            return SavedState()

    def write(self, changed: SavedState, gone: Iterable[TargetKey] = ()) -> None:
        """Write ``changed`` and delete the targets ``gone``, in one transaction.

        Raises `StateFileError`; the file is unchanged then.
        """
        now, private = self._now(), not changed.projects or self._is_private()
        try:
            with _transaction(self._open()) as database:
                database.executemany("DELETE FROM target WHERE project = ? AND server_id = ?", gone)
                database.executemany(_PUT_TARGET, starmap(_target_row, changed.targets.items()))
                for key, saved in changed.projects.items():
                    login = saved.login if private else None
                    checksum = _checksum(key, saved.rate, login)
                    database.execute(_PUT_PROJECT, (key, now, checksum, saved.rate, login))
        except (OSError, sqlite3.Error, _DamagedError) as error:
            if not _is_damage(error):
                raise self._error(error) from None
            self._replace_damaged(error)
            raise StateFileLostError(f"state file {self.path} was damaged") from None

    def close(self) -> None:
        """Close the file and release its lock."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._connected()
        return self._database

    def _connected(self) -> sqlite3.Connection:
        self._create()
        database = sqlite3.connect(
            self.path,
            timeout=_LOCK_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        # Damaged text that is not UTF-8 must fail its checksum, not the whole read.
        database.text_factory = _text
        try:
            # The lock is held from the first access until the process ends.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._check_kind(database)
            database.execute("PRAGMA journal_mode = WAL")
            # After a power cut at most the last seconds are lost.
            database.execute("PRAGMA synchronous = NORMAL")
            # Overwrite deleted data, which may be a login.
            database.execute("PRAGMA secure_delete = ON")
            with _transaction(database):
                if not database.execute("PRAGMA user_version").fetchone()[0]:
                    for statement in _SCHEMA:
                        database.execute(statement)
                    database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                    database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        except BaseException:
            database.close()
            raise
        return database

    def _create(self) -> None:
        """Create the file with private permissions before anything is written to it."""
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE))
        except FileExistsError:
            if not self.path.is_file():
                raise self._foreign("is not a regular file") from None
            with self.path.open("rb") as stream:
                head = stream.read(len(_MAGIC))
            if head.isascii() and b"\0" not in head and not _MAGIC.startswith(head):
                raise self._foreign("is a text file and is not overwritten") from None

    def _foreign(self, problem: str) -> StateFileForeignError:
        return StateFileForeignError(
            f"state file {self.path} {problem}: choose another file with --state.file"
        )

    def _check_kind(self, database: sqlite3.Connection) -> None:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        kind = database.execute("PRAGMA application_id").fetchone()[0]
        tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if not tables and not version:
            return
        if kind != _APPLICATION_ID:
            raise self._foreign("is a database of another program and is not overwritten")
        if version != _SCHEMA_VERSION:
            raise _DamagedError(f"schema version {version} found, {_SCHEMA_VERSION} expected")

    def _read(self, database: sqlite3.Connection) -> SavedState:
        flaw = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if flaw != "ok":
            raise _DamagedError(str(flaw).splitlines()[-1])
        now = self._now()
        ages = (now - MAX_AGE_SECONDS, now + _FUTURE_SECONDS)
        found = SavedState()
        damaged = 0
        for project, server_id, at, checksum, line, history in database.execute(
            "SELECT project, server_id, at, checksum, memory, history FROM target"
            " WHERE at BETWEEN ? AND ?",
            ages,
        ):
            if checksum == _checksum(project, server_id, line, history):
                found.targets[TargetKey(project, server_id)] = SavedTarget(at, line, history)
            else:
                damaged += 1
        private = self._is_private()
        for project, checksum, rate, login in database.execute(
            "SELECT project, checksum, pace, login FROM note WHERE at BETWEEN ? AND ?", ages
        ):
            if checksum == _checksum(project, rate, login):
                found.projects[project] = SavedProject(rate, login if private else None)
            else:
                damaged += 1
        if damaged:
            log.warning("damaged saved state dropped", rows=damaged)
        with suppress(sqlite3.OperationalError):
            # Deleting fails on a full disk; the state is still usable then.
            if not private:
                database.execute("DELETE FROM note WHERE login IS NOT NULL")
            for table in ("target", "note"):
                database.execute(f"DELETE FROM {table} WHERE at NOT BETWEEN ? AND ?", ages)  # noqa: S608
        return found

    def _is_private(self) -> bool:
        """Return whether no other user can read the file; log once if one can."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if not stat.S_ISREG(found.st_mode):
            return False
        if found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & _OTHERS:
            self._has_warned_of_readers = False
            return True
        if not self._has_warned_of_readers:
            self._has_warned_of_readers = True
            log.warning(
                "state file readable by other users, login not saved",
                file=str(self.path),
                cure=f"chmod 600 {self.path}, as the user of the exporter",
            )
        return False

    def _replace_damaged(self, error: Exception) -> None:
        """Rename the damaged file and create a new one; raises `StateFileError`."""
        self.close()
        renamed = self.path.with_name(self.path.name + _DAMAGED_SUFFIX)
        try:
            self.path.replace(renamed)
            for suffix in _COMPANION_SUFFIXES:
                # Under its old name, SQLite would use it for the new file.
                companion = self.path.with_name(self.path.name + suffix)
                if companion.exists():
                    companion.replace(renamed.with_name(renamed.name + suffix))
            self._database = self._connected()
        except (OSError, sqlite3.Error, _DamagedError) as failure:
            raise self._error(failure) from None
        log.warning(
            "damaged state file replaced",
            file=str(self.path),
            why=str(error),
            set_aside=str(renamed),
        )

    def _error(self, error: Exception) -> StateFileError:
        if isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_BUSY:
            return StateFileInUseError(
                f"state file {self.path} is in use by another process:"
                " set a separate file for each exporter with --state.file"
            )
        why = error.strerror if isinstance(error, OSError) else str(error)
        return StateFileError(f"cannot save state in {self.path}: {why}")


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _target_row(key: TargetKey, saved: SavedTarget) -> tuple[object, ...]:
    return (*key, saved.at, _checksum(*key, saved.line, saved.history), saved.line, saved.history)


def _checksum(*parts: str | bytes | None) -> int:
    """Return a checksum of a row: SQLite does not detect damage inside values."""
    checksum = 0
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part or b""
        checksum = zlib.crc32(raw, zlib.crc32(b"%d:" % len(raw), checksum))
    return checksum


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY_CODE


def _is_damage(error: Exception) -> bool:
    if isinstance(error, sqlite3.Error):
        return _code(error) in _DAMAGED
    return isinstance(error, _DamagedError)
