"""Keep the cells of the grid current, and record which changed in which revision.

A result that changes nothing visible costs one comparison. Otherwise the cell gets the next
revision. `changes_since` walks back from the newest revision, so its cost is proportional to the
number of changes. Verdicts become stale without an event, so a heap holds one entry per server
with the earliest time at which it can be stale.
"""

import asyncio
import heapq
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from exporter.model import ProbeResult, Target, TargetKey
from exporter.state import TargetState
from exporter.web.health_state import HealthState, stale_at
from exporter.web.pages.cell import Cell, cell_of, label_text, order_of, server_path

_CHANGES_MAX = 500
_REMOVED_MAX = 1000
# How many heap entries each result checks, and how many `refresh_stale` checks between pauses.
_CHECKS_PER_RESULT = 2
_CHECKS_AT_ONCE = 200


@dataclass(slots=True)
class _Entry:
    """One server with its current cell and HTML.

    ``updates`` counts all updates. ``in_heap`` tells whether the heap of stale times has an entry.
    """

    state: TargetState
    target: Target
    href: str
    labels: str
    order: tuple[str, str]
    cell: Cell | None = None
    html: str = ""
    updates: int = 0
    last: ProbeResult | None = None
    in_heap: bool = False
    removed: bool = False


@dataclass(slots=True)
class ProjectCells:
    """The cells of one project.

    ``login`` is its newest result that shows whether the `login_works`.
    """

    name: str
    region: str = ""
    login: ProbeResult | None = None
    entries: dict[str, _Entry] = field(default_factory=dict)
    _sorted: list[_Entry] | None = None

    def in_order(self) -> list[_Entry]:
        """Return the entries sorted by name; the order is cached until the servers change."""
        if self._sorted is None:
            self._sorted = sorted(self.entries.values(), key=lambda entry: entry.order)
        return self._sorted

    def reset_order(self) -> None:
        """Discard the cached order after servers were added, removed or renamed."""
        self._sorted = None


@dataclass(frozen=True, slots=True)
class CellChanges:
    """The changes since a revision, in batches that a browser can apply at once.

    ``more`` means that further changes follow. ``reset`` means that the changes are not known and
    the page must be reloaded.
    """

    revision: str
    cells: list[Cell] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    more: bool = False
    reset: bool = False


class FleetCells:
    """The cells of all servers, kept current as a `StateListener`.

    ``time`` returns Unix time in seconds.
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._run_id = secrets.token_hex(4)
        self._revision = 0
        # The oldest revision from which the changes are completely known.
        self._oldest = 0
        self._changed: dict[TargetKey, int] = {}
        self._removed: dict[TargetKey, str] = {}
        self._stale_heap: list[tuple[float, int, _Entry]] = []
        self._order = count()
        self.projects: dict[str, ProjectCells] = {}

    @property
    def revision(self) -> str:
        """Return the current revision; it is valid only for this run of the exporter."""
        return f"{self._run_id}.{self._revision}"

    def on_change(self, state: TargetState) -> None:
        """Update the cell of a server."""
        key = state.target.key
        project = self.projects.get(key.project) or self._new_project(key.project)
        entry = project.entries.get(key.server_id)
        if entry is None or entry.target is not state.target:
            entry = self._put(project, state, entry)
        entry.updates += 1
        last = state.last
        if last is not None and last is not entry.last:
            entry.last = last
            if last.login_works is not None:
                project.login = last
        now = self._time()
        self._update(entry, now)
        self._check_stale(now, _CHECKS_PER_RESULT)

    def on_remove(self, key: TargetKey) -> None:
        """Remove the cell of a server."""
        project = self.projects[key.project]
        entry = project.entries.pop(key.server_id)
        entry.removed = True
        project.reset_order()
        self._mark_changed(key)
        self._removed[key] = entry.href
        if len(self._removed) > _REMOVED_MAX:
            oldest = next(iter(self._removed))
            del self._removed[oldest]
            self._oldest = self._changed.pop(oldest)
        if not project.entries:
            del self.projects[key.project]
            self._oldest = self._revision

    def version(self, target: Target) -> str:
        """Return a text that changes with every update of a server, and with a restart."""
        entry = self.projects[target.key.project].entries[target.key.server_id]
        health_state = entry.cell.health_state if entry.cell else ""
        return f"{self._run_id}.{entry.updates}.{health_state}"

    async def refresh_stale(self) -> None:
        """Update all cells whose verdict has become stale, without blocking the event loop."""
        for _ in range(0, len(self._stale_heap) + 1, _CHECKS_AT_ONCE):
            if self._check_stale(self._time(), _CHECKS_AT_ONCE):
                return
            await asyncio.sleep(0)

    def changes_since(self, revision: str) -> CellChanges:
        """Return the changes after ``revision``, the oldest first."""
        run_id, _, number = revision.partition(".")
        known = int(number) if len(number) < 20 and number.isascii() and number.isdigit() else -1  # noqa: PLR2004
        if run_id != self._run_id or not self._oldest <= known <= self._revision:
            return CellChanges(self.revision, reset=True)
        newer: list[TargetKey] = []
        for key, changed_at in reversed(self._changed.items()):
            if changed_at <= known:
                break
            newer.append(key)
        newer.reverse()
        batch = newer[:_CHANGES_MAX]
        until = self._changed[batch[-1]] if batch else self._revision
        entries = [(key, self._entry(key)) for key in batch]
        return CellChanges(
            revision=f"{self._run_id}.{until}",
            cells=[entry.cell for _, entry in entries if entry is not None and entry.cell],
            gone=[self._removed[key] for key, entry in entries if entry is None],
            more=len(newer) > len(batch),
        )

    def _new_project(self, name: str) -> ProjectCells:
        project = self.projects[name] = ProjectCells(name)
        # Open pages have no section for it, so they must reload.
        self._revision += 1
        self._oldest = self._revision
        return project

    def _put(self, project: ProjectCells, state: TargetState, old: _Entry | None) -> _Entry:
        target = state.target
        entry = _Entry(state, target, server_path(target), label_text(target), order_of(target))
        if old is not None:
            old.removed = True
            entry.updates, entry.last = old.updates, old.last
            entry.cell, entry.html = old.cell, old.html
        self._removed.pop(target.key, None)
        project.region = target.region
        project.entries[target.key.server_id] = entry
        project.reset_order()
        return entry

    def _update(self, entry: _Entry, now: float) -> None:
        if not entry.in_heap and (end := stale_at(entry.state)) is not None and end >= now:
            entry.in_heap = True
            heapq.heappush(self._stale_heap, (end, next(self._order), entry))
        cell = cell_of(entry.state, entry.href, entry.labels, now)
        if cell == entry.cell:
            return
        entry.cell, entry.html = cell, cell.html()
        self._mark_changed(entry.target.key)

    def _check_stale(self, now: float, limit: int) -> bool:
        """Update up to ``limit`` cells that may be stale; return whether none is left."""
        for _ in range(limit):
            if not self._stale_heap or self._stale_heap[0][0] >= now:
                return True
            entry = heapq.heappop(self._stale_heap)[2]
            entry.in_heap = False
            if not entry.removed:
                self._update(entry, now)
        return False

    def _mark_changed(self, key: TargetKey) -> None:
        self._revision += 1
        self._changed.pop(key, None)
        self._changed[key] = self._revision

    def _entry(self, key: TargetKey) -> _Entry | None:
        project = self.projects.get(key.project)
        return project.entries.get(key.server_id) if project else None


def worst(project: ProjectCells) -> int:
    """Return the index in `HealthState` of a project's worst health state; 0 is the worst."""
    found = {entry.cell.health_state for entry in project.entries.values() if entry.cell}
    return next((index for index, one in enumerate(HealthState) if one in found), len(HealthState))
