"""The file that survives a restart: SQLite, changed in transactions, by one thread at a time.

The write-ahead log makes a transaction count whole or not at all, whenever the program is killed.
The file is locked for as long as it is open: two exporters that write one file would each forget
what the other knows. It holds log-ins, so only its owner may read it.
"""

import os
import sqlite3
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from exporter.model import TargetKey
from exporter.state.errors import (
    StateFileError,
    StateFileForeignError,
    StateFileInUseError,
    StateFileLostError,
)
from exporter.state.saved_state import ProjectSnapshot, SavedState, StateChanges
from exporter.state.target_snapshot import TargetSnapshot

MAX_AGE_SECONDS = 48 * 3600.0
"""What is older says nothing any more; intervals are 24 hours at most."""

_SCHEMA_VERSION = 1
_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID = 0x436E5370
# A clock may have been put right by a little between two starts.
_FUTURE_SECONDS = 60.0
_LOCK_PATIENCE_SECONDS = 2.0
_PRIVATE = 0o600
_OTHERS = 0o077
_SET_ASIDE = ".corrupt"
_BESIDE = ("-wal", "-journal", "-shm")
_ROWS_AT_ONCE = 25
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
# In place, so that a page holds servers that are probed, and so written, at the same time.
_PUT_TARGET = """
    INSERT INTO target VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at,
    checksum = excluded.checksum, memory = excluded.memory, history = excluded.history"""
_PUT_NOTE = "INSERT OR REPLACE INTO note VALUES (?, ?, ?, ?, ?)"

log = structlog.get_logger(__name__)


class _DamagedError(Exception):
    """The file cannot be read; the message says why."""


class StateFile:
    """One state file. No two threads may use it at once; it needs no thread of its own."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        """Keep state at ``path``; nothing is touched yet. ``now`` tells Unix time in seconds."""
        self.path = path
        self._now = now
        self._database: sqlite3.Connection | None = None
        self._is_warned_of_readers = False

    def load(self) -> SavedState:
        """Open the file, make it if there is none, and return what it holds that is of use.

        A file that is damaged, or written by a newer version, is set aside as ``….corrupt``; a new
        one is begun. Raises `StateFileInUseError`, or `StateFileError` when nothing can be kept for
        now: `write` will try again.
        """
        try:
            return self._read(self._open())
        except (OSError, sqlite3.Error, _DamagedError) as error:
            if not _is_damage(error):
                raise self._error(error) from None
            self._begin_anew(error)
            return SavedState()

    def write(self, changes: StateChanges) -> None:
        """Write changes in one transaction; raises `StateFileError`, and then nothing changed."""
        rows = _rows(changes.targets)
        projects = self._note_rows(changes.projects)
        try:
            _write(self._open(), rows, changes.gone, projects)
        except (OSError, sqlite3.Error, _DamagedError) as error:
            if not _is_damage(error):
                raise self._error(error) from None
            self._begin_anew(error)
            raise StateFileLostError(f"state file {self.path} was damaged") from None

    def close(self) -> None:
        """Close the file, and let others have it."""
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
            timeout=_LOCK_PATIENCE_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        # A text that is no UTF-8 any more fails its checksum, not the reading.
        database.text_factory = _text
        try:
            # Held from the first access on, by a lock that ends with the process.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._check_kind(database)
            database.execute("PRAGMA journal_mode = WAL")
            # A power cut may take the last seconds, and nothing else.
            database.execute("PRAGMA synchronous = NORMAL")
            # What is deleted is overwritten: it may be a log-in.
            database.execute("PRAGMA secure_delete = ON")
            database.execute("BEGIN IMMEDIATE")
            if not database.execute("PRAGMA user_version").fetchone()[0]:
                for statement in _SCHEMA:
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            database.execute("COMMIT")
        except BaseException:
            database.close()
            raise
        return database

    def _create(self) -> None:
        """Make the file ours alone before the first byte is in it."""
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE))
        except FileExistsError:
            if not self.path.is_file():
                raise self._foreign("is no file") from None
            with self.path.open("rb") as stream:
                head = stream.read(len(_MAGIC))
            if head.isascii() and b"\0" not in head and not _MAGIC.startswith(head):
                raise self._foreign("is a text, and is left alone") from None

    def _foreign(self, what: str) -> StateFileForeignError:
        return StateFileForeignError(
            f"state file {self.path} {what}: choose another with --state.file"
        )

    def _check_kind(self, database: sqlite3.Connection) -> None:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        kind = database.execute("PRAGMA application_id").fetchone()[0]
        tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if not tables and not version:
            return
        if kind != _APPLICATION_ID:
            raise self._foreign("is another program's database, and is left alone")
        if version != _SCHEMA_VERSION:
            raise _DamagedError(f"its format is {version}, this version writes {_SCHEMA_VERSION}")

    def _read(self, database: sqlite3.Connection) -> SavedState:
        flaw = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if flaw != "ok":
            raise _DamagedError(str(flaw).splitlines()[-1])
        now = self._now()
        ages = (now - MAX_AGE_SECONDS, now + _FUTURE_SECONDS)
        found = SavedState()
        damaged = 0
        for project, server_id, checksum, snapshot, history in database.execute(
            "SELECT project, server_id, checksum, memory, history FROM target"
            " WHERE at BETWEEN ? AND ?",
            ages,
        ):
            if checksum == _checksum(project, server_id, snapshot, history):
                found.targets[TargetKey(project, server_id)] = snapshot, history
            else:
                damaged += 1
        private = self._is_private()
        for project, checksum, pace, login in database.execute(
            "SELECT project, checksum, pace, login FROM note WHERE at BETWEEN ? AND ?", ages
        ):
            if checksum == _checksum(project, pace, login):
                found.projects[project] = ProjectSnapshot(pace, login if private else None)
            else:
                damaged += 1
        if damaged:
            log.warning("some of the state is damaged and dropped", rows=damaged)
        with suppress(sqlite3.OperationalError):
            # A full disk is no reason not to read.
            if not private:
                database.execute("DELETE FROM note WHERE login IS NOT NULL")
            for table in ("target", "note"):
                database.execute(f"DELETE FROM {table} WHERE at NOT BETWEEN ? AND ?", ages)  # noqa: S608
        return found

    def _note_rows(self, projects: Mapping[str, ProjectSnapshot]) -> list[tuple[object, ...]]:
        if not projects:
            return []
        now, private = self._now(), self._is_private()
        rows: list[tuple[object, ...]] = []
        for project, snapshot in projects.items():
            login = snapshot.login if private else None
            rows.append(
                (project, now, _checksum(project, snapshot.pace, login), snapshot.pace, login)
            )
        return rows

    def _is_private(self) -> bool:
        """Return whether log-ins may be in the file; say so once when they may not."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if not stat.S_ISREG(found.st_mode):
            return False
        if found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & _OTHERS:
            self._is_warned_of_readers = False
            return True
        if not self._is_warned_of_readers:
            self._is_warned_of_readers = True
            log.warning(
                "others can read the state file, so no log-in is kept in it",
                file=str(self.path),
                cure=f"chmod 600 {self.path}, as the user that the exporter runs as",
            )
        return False

    def _begin_anew(self, error: Exception) -> None:
        """Set the damaged file aside and open a new one; raises `StateFileError`."""
        self.close()
        aside = self.path.with_name(self.path.name + _SET_ASIDE)
        try:
            self.path.replace(aside)
            for suffix in _BESIDE:
                # Left where it is, it would be taken for a part of the new file.
                beside = self.path.with_name(self.path.name + suffix)
                if beside.exists():
                    beside.replace(aside.with_name(aside.name + suffix))
            self._database = self._connected()
        except (OSError, sqlite3.Error, _DamagedError) as fault:
            raise self._error(fault) from None
        log.warning(
            "the state file cannot be read: a new one is begun",
            file=str(self.path),
            why=str(error),
            set_aside=str(aside),
        )

    def _error(self, error: Exception) -> StateFileError:
        if isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_BUSY:
            return StateFileInUseError(
                f"state file {self.path} is in use by another process:"
                " give each exporter its own with --state.file"
            )
        why = error.strerror if isinstance(error, OSError) else str(error)
        return StateFileError(f"cannot keep state in {self.path}: {why}")


def _write(
    database: sqlite3.Connection,
    targets: Iterable[tuple[object, ...]],
    gone: Iterable[TargetKey],
    projects: Iterable[tuple[object, ...]],
) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        database.executemany("DELETE FROM target WHERE project = ? AND server_id = ?", gone)
        database.executemany(_PUT_TARGET, targets)
        database.executemany(_PUT_NOTE, projects)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _rows(snapshots: Mapping[TargetKey, TargetSnapshot]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for count, (key, snapshot) in enumerate(snapshots.items(), 1):
        line, packed = snapshot.to_json()
        checksum = _checksum(*key, line, packed)
        rows.append((*key, snapshot.last.started_at, checksum, line, packed))
        if count % _ROWS_AT_ONCE == 0:
            # Hands over to the event loop, which would wait for some milliseconds otherwise.
            time.sleep(0)
    return rows


def _checksum(*parts: str | bytes | None) -> int:
    """Return what tells a flipped bit: SQLite notices damage only where it counts itself."""
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
