"""Write state changes to the state file every few seconds without blocking the event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from exporter.clock import Clock
from exporter.model import TargetKey
from exporter.state.errors import StateFileError, StateFileLostError
from exporter.state.saved_state import SavedProject, SavedState
from exporter.state.saved_target import SavedTarget
from exporter.state.state_file import StateFile
from exporter.state.store import TargetState

FLUSH_SECONDS = 3.0
"""Time between two writes; unwritten changes are at most a few seconds old."""

_WARN_AGAIN_SECONDS = 300.0
# States copied per turn of the event loop; takes well under a millisecond.
_COPIES_PER_SLICE = 500
# States converted before the thread releases the GIL, or the event loop would wait for some
# milliseconds.
_CONVERSIONS_PER_SLICE = 25

SnapshotProjects = Callable[[], Awaitable[Mapping[str, SavedProject]]]
"""Returns what is to be saved of each project now."""

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
        self._written_projects: Mapping[str, SavedProject] = {}
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
            written = self._written_projects
            projects = await self._snapshot_projects()
            new = {key: one for key, one in projects.items() if written.get(key) != one}
            changed, self._changed = self._changed, {}
            gone, self._gone = self._gone, set()
            states = await self._copies(changed)
            if not (states or gone or new):
                return
            try:
                await asyncio.get_running_loop().run_in_executor(
                    self._executor, self._write, states, new, gone
                )
            except Exception as error:
                self._retry(changed, gone)
                if isinstance(error, StateFileLostError):
                    self._changed = dict.fromkeys(self._states)
                    self._written_projects = {}
                if not isinstance(error, StateFileError):
                    raise
                self._warn(str(error))
                return
            self._written_projects = projects
            self._warned = ""

    def _retry(self, changed: Iterable[TargetKey], gone: set[TargetKey]) -> None:
        """Write these changes again at the next flush, unless they were undone since."""
        self._changed = {key: None for key in (*changed, *self._changed) if key in self._states}
        self._gone |= gone - self._states.keys()

    def _write(
        self, states: Iterable[TargetState], projects: dict[str, SavedProject], gone: set[TargetKey]
    ) -> None:
        """Convert and write changes; runs in the thread."""
        targets: dict[TargetKey, SavedTarget] = {}
        for count, state in enumerate(states, 1):
            if saved := SavedTarget.of(state):
                targets[state.target.key] = saved
            if count % _CONVERSIONS_PER_SLICE == 0:
                time.sleep(0)
        self._file.write(SavedState(targets, projects), gone)

    async def close(self, max_seconds: float) -> None:
        """Write the remaining changes within ``max_seconds`` and close the file."""
        if self._closed:
            return
        await self.flush_within(max_seconds)
        self._closed = True
        self._executor.submit(self._file.close)
        self._executor.shutdown(wait=False)

    async def _copies(self, keys: Iterable[TargetKey]) -> list[TargetState]:
        copies = []
        for count, key in enumerate(keys, 1):
            if state := self._states.get(key):
                copies.append(state.copy())
            if count % _COPIES_PER_SLICE == 0:
                await asyncio.sleep(0)
        return copies

    def _warn(self, why: str) -> None:
        now = self._clock.monotonic()
        if why == self._warned and now < self._warn_again_at:
            return
        self._warned, self._warn_again_at = why, now + _WARN_AGAIN_SECONDS
        log.warning("state file not written", why=why)
