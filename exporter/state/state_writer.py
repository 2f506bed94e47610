"""Writes down what changes, some seconds behind, without holding up the event loop."""

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
"""The pause between two writes, so that nothing unwritten is older than some seconds."""

_WARN_AGAIN_SECONDS = 300.0
# What the event loop puts together at once; takes well under a millisecond.
_STATES_AT_ONCE = 500

Notes = Callable[[], Awaitable[Mapping[str, ProjectSnapshot]]]
"""Tells what each project wants to be told after a restart."""

log = structlog.get_logger(__name__)


class StateWriter:
    """Collects changes as a `StateListener` and hands them to the one thread that writes."""

    def __init__(self, file: StateFile, projects: Notes, clock: Clock) -> None:
        """Write to ``file``, which no one else may use any more."""
        self._file = file
        self._snapshots = projects
        self._clock = clock
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._one_at_a_time = asyncio.Lock()
        self._states: dict[TargetKey, TargetState] = {}
        # In the order of their results, which is that of the schedule.
        self._changed: dict[TargetKey, None] = {}
        self._gone: set[TargetKey] = set()
        self._noted: Mapping[str, ProjectSnapshot] = {}
        self._closed = False
        self._warned = ""
        self._warn_again_at = 0.0

    def on_change(self, state: TargetState) -> None:
        """Note that a target has something new to remember."""
        key = state.target.key
        self._states[key] = state
        if state.last is not state.restored:
            self._changed[key] = None
            self._gone.discard(key)

    def on_remove(self, key: TargetKey) -> None:
        """Note that a target is to be forgotten."""
        del self._states[key]
        self._changed.pop(key, None)
        self._gone.add(key)

    async def run(self) -> None:
        """Write every few seconds, until cancelled."""
        while True:
            await self._clock.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what has changed; what cannot be written now waits for the next time."""
        try:
            await self._flush()
        except Exception:  # whatever it is, the next write must come
            log.exception("the state could not be written")

    async def flush_within(self, patience: float) -> None:
        """Do the same, for ``patience`` seconds: storage may hang for ever."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), patience)

    async def _flush(self) -> None:
        async with self._one_at_a_time:
            if self._closed:
                return
            projects = await self._snapshots()
            changed, self._changed = self._changed, {}
            gone, self._gone = self._gone, set()
            changes = StateChanges(
                await self._memories(changed),
                gone,
                {
                    name: snapshot
                    for name, snapshot in projects.items()
                    if self._noted.get(name) != snapshot
                },
            )
            if not changes:
                return
            try:
                await asyncio.get_running_loop().run_in_executor(
                    self._writing, self._file.write, changes
                )
            except Exception as error:
                self._changed = {
                    key: None for key in (*changed, *self._changed) if key in self._states
                }
                self._gone |= gone - self._states.keys()
                if isinstance(error, StateFileLostError):
                    self._changed = dict.fromkeys(self._states)
                    self._noted = {}
                if not isinstance(error, StateFileError):
                    raise
                self._warn(str(error))
                return
            self._noted = projects
            self._warned = ""

    async def close(self, patience: float) -> None:
        """Write what is left, within ``patience`` seconds, and close the file."""
        if self._closed:
            return
        await self.flush_within(patience)
        self._closed = True
        self._writing.submit(self._file.close)
        self._writing.shutdown(wait=False)

    async def _memories(self, keys: Iterable[TargetKey]) -> dict[TargetKey, TargetSnapshot]:
        snapshots = {}
        for count, key in enumerate(keys, 1):
            state = self._states.get(key)
            snapshot = state.snapshot() if state else None
            if snapshot:
                snapshots[key] = snapshot
            if count % _STATES_AT_ONCE == 0:
                await asyncio.sleep(0)
        return snapshots

    def _warn(self, what: str) -> None:
        now = self._clock.monotonic()
        if what == self._warned and now < self._warn_again_at:
            return
        self._warned, self._warn_again_at = what, now + _WARN_AGAIN_SECONDS
        log.warning("the state is not written", why=what)
