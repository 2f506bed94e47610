"""Write state changes to the state file every few seconds without blocking the event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from exporter.clock import Clock
from exporter.model import TargetKey
from exporter.state.errors import StateFileError, StateFileLostError
from exporter.state.saved_state import ProjectSnapshot, StateChanges
from exporter.state.state_file import StateFile
from exporter.state.store import TargetState
from exporter.state.target_snapshot import TargetSnapshot

FLUSH_SECONDS = 3.0
"""Time between two writes; unwritten changes are at most a few seconds old."""

_WARN_AGAIN_SECONDS = 300.0
# States collected per turn of the event loop; takes well under a millisecond.
_STATES_PER_SLICE = 500

SnapshotProjects = Callable[[], Awaitable[Mapping[str, ProjectSnapshot]]]
"""Returns the current snapshot of each project."""

log = structlog.get_logger(__name__)


class StateWriter:
    """A `StateListener` that collects changes and writes them in a thread of its own.

    Nothing else may use ``file`` any more.
    """

    def __init__(self, file: StateFile, snapshot_projects: SnapshotProjects, clock: Clock) -> None:
        self._file = file
        self._snapshot_projects = snapshot_projects
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._flush_lock = asyncio.Lock()
        self._states: dict[TargetKey, TargetState] = {}
        # In the order of their results, which is the order of the schedule.
        self._changed: dict[TargetKey, None] = {}
        self._gone: set[TargetKey] = set()
        self._written_projects: Mapping[str, ProjectSnapshot] = {}
        self._closed = False
        self._warned = ""
        self._warn_again_at = 0.0

    def on_change(self, state: TargetState) -> None:
        """Mark a target as changed."""
        key = state.target.key
        self._states[key] = state
        if state.last is not state.restored:
            self._changed[key] = None
            self._gone.discard(key)

    def on_remove(self, key: TargetKey) -> None:
        """Mark a target as removed."""
        del self._states[key]
        self._changed.pop(key, None)
        self._gone.add(key)

    async def run(self) -> None:
        """Write every few seconds, until cancelled."""
        while True:
            await self._clock.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write all changes; changes that cannot be written now are retried at the next flush."""
        try:
            await self._flush()
        except Exception:  # one failed write must not end the writer
            log.exception("unexpected error writing the state file")

    async def flush_within(self, max_seconds: float) -> None:
        """Write all changes, but stop waiting after ``max_seconds``: storage may hang."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), max_seconds)

    async def _flush(self) -> None:
        async with self._flush_lock:
            if self._closed:
                return
            projects = await self._snapshot_projects()
            changed, self._changed = self._changed, {}
            gone, self._gone = self._gone, set()
            changes = StateChanges(
                await self._target_snapshots(changed),
                gone,
                {
                    name: snapshot
                    for name, snapshot in projects.items()
                    if self._written_projects.get(name) != snapshot
                },
            )
            if not changes:
                return
            try:
                await asyncio.get_running_loop().run_in_executor(
                    self._executor, self._file.write, changes
                )
            except Exception as error:
                self._changed = {
                    key: None for key in (*changed, *self._changed) if key in self._states
                }
                self._gone |= gone - self._states.keys()
                if isinstance(error, StateFileLostError):
                    self._changed = dict.fromkeys(self._states)
                    self._written_projects = {}
                if not isinstance(error, StateFileError):
                    raise
                self._warn(str(error))
                return
            self._written_projects = projects
            self._warned = ""

    async def close(self, max_seconds: float) -> None:
        """Write the remaining changes within ``max_seconds`` and close the file."""
        if self._closed:
            return
        await self.flush_within(max_seconds)
        self._closed = True
        self._executor.submit(self._file.close)
        self._executor.shutdown(wait=False)

    async def _target_snapshots(self, keys: Iterable[TargetKey]) -> dict[TargetKey, TargetSnapshot]:
        snapshots = {}
        for count, key in enumerate(keys, 1):
            state = self._states.get(key)
            snapshot = state.snapshot() if state else None
            if snapshot:
                snapshots[key] = snapshot
            if count % _STATES_PER_SLICE == 0:
                await asyncio.sleep(0)
        return snapshots

    def _warn(self, why: str) -> None:
        now = self._clock.monotonic()
        if why == self._warned and now < self._warn_again_at:
            return
        self._warned, self._warn_again_at = why, now + _WARN_AGAIN_SECONDS
        log.warning("state file not written", why=why)
