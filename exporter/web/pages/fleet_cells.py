"""The grid's cells, made when a result arrives, and what changed since when.

A probe that changes nothing to be seen costs a comparison. One that does gives its cell the next
revision; `changes_since` walks back from the newest, so it costs what there is to tell. A verdict
also grows old without any event: a heap holds one entry a server, with a time before which it
cannot be stale.
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
from exporter.web.pages.project_text import tells_of_login

_CHANGES_MAX = 500
_GONE_MAX = 1000
# Stale ones that each result looks for on the way, and that are looked for without a pause.
_AGEING_A_RESULT = 2
_AGEING_AT_ONCE = 200


@dataclass(slots=True)
class _Entry:
    """One server: its cell as it was last seen, and its HTML.

    ``seen`` counts all that was heard of it.
    """

    state: TargetState
    target: Target
    href: str
    labels: str
    order: tuple[str, str]
    cell: Cell | None = None
    html: str = ""
    seen: int = 0
    last: ProbeResult | None = None
    ageing: bool = False
    gone: bool = False


@dataclass(slots=True)
class ProjectCells:
    """The cells of one project; ``login`` is its newest result that tells of the login."""

    name: str
    region: str = ""
    login: ProbeResult | None = None
    entries: dict[str, _Entry] = field(default_factory=dict)
    _sorted: list[_Entry] | None = None

    def in_order(self) -> list[_Entry]:
        """Return the entries by name; sorts only when servers came, went or were renamed."""
        if self._sorted is None:
            self._sorted = sorted(self.entries.values(), key=lambda entry: entry.order)
        return self._sorted

    def disordered(self) -> None:
        """Note that servers came, went or were renamed."""
        self._sorted = None


@dataclass(frozen=True, slots=True)
class CellChanges:
    """What changed since some revision, at most so much that a browser takes it at once.

    ``reset`` says that this cannot be told: the page must be had anew.
    """

    revision: str
    cells: list[Cell] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    more: bool = False
    reset: bool = False


class FleetCells:
    """The cells of all servers, kept current as a `StateListener`."""

    def __init__(self, time: Callable[[], float]) -> None:
        """Start with no servers; ``time`` gives Unix time in seconds."""
        self._time = time
        self._boot = secrets.token_hex(4)
        self._revision = 0
        # Before this one not all can be told any more.
        self._oldest = 0
        self._changed: dict[TargetKey, int] = {}
        self._gone: dict[TargetKey, str] = {}
        self._ageing: list[tuple[float, int, _Entry]] = []
        self._order = count()
        self.projects: dict[str, ProjectCells] = {}

    @property
    def revision(self) -> str:
        """Return the revision that the cells have now; no other run of the program knows it."""
        return f"{self._boot}.{self._revision}"

    def on_change(self, state: TargetState) -> None:
        """Take in what is new of a server."""
        key = state.target.key
        project = self.projects.get(key.project) or self._new_project(key.project)
        entry = project.entries.get(key.server_id)
        if entry is None or entry.target is not state.target:
            entry = self._put(project, state, entry)
        entry.seen += 1
        last = state.last
        if last is not None and last is not entry.last:
            entry.last = last
            if tells_of_login(last):
                project.login = last
        now = self._time()
        self._renew(entry, now)
        self._age(now, _AGEING_A_RESULT)

    def on_remove(self, key: TargetKey) -> None:
        """Forget a server."""
        project = self.projects[key.project]
        entry = project.entries.pop(key.server_id)
        entry.gone = True
        project.disordered()
        self._mark(key)
        self._gone[key] = entry.href
        if len(self._gone) > _GONE_MAX:
            oldest = next(iter(self._gone))
            del self._gone[oldest]
            self._oldest = self._changed.pop(oldest)
        if not project.entries:
            del self.projects[key.project]
            self._oldest = self._revision

    def seen(self, target: Target) -> str:
        """Return a text that changes with all that is heard of a server, and with a restart."""
        entry = self.projects[target.key.project].entries[target.key.server_id]
        health_state = entry.cell.health_state if entry.cell else ""
        return f"{self._boot}.{entry.seen}.{health_state}"

    async def settle(self) -> None:
        """Find the verdicts that have become too old by now, letting all else run meanwhile."""
        for _ in range(0, len(self._ageing) + 1, _AGEING_AT_ONCE):
            if self._age(self._time(), _AGEING_AT_ONCE):
                return
            await asyncio.sleep(0)

    def changes_since(self, revision: str) -> CellChanges:
        """Return what changed after ``revision``, the oldest first."""
        boot, _, number = revision.partition(".")
        known = int(number) if len(number) < 20 and number.isascii() and number.isdigit() else -1  # noqa: PLR2004
        if boot != self._boot or not self._oldest <= known <= self._revision:
            return CellChanges(self.revision, reset=True)
        newer: list[TargetKey] = []
        for key, changed_at in reversed(self._changed.items()):
            if changed_at <= known:
                break
            newer.append(key)
        newer.reverse()
        told = newer[:_CHANGES_MAX]
        until = self._changed[told[-1]] if told else self._revision
        entries = [(key, self._entry(key)) for key in told]
        return CellChanges(
            revision=f"{self._boot}.{until}",
            cells=[entry.cell for _, entry in entries if entry is not None and entry.cell],
            gone=[self._gone[key] for key, entry in entries if entry is None],
            more=len(newer) > len(told),
        )

    def _new_project(self, name: str) -> ProjectCells:
        project = self.projects[name] = ProjectCells(name)
        # It has no place on pages that are open.
        self._revision += 1
        self._oldest = self._revision
        return project

    def _put(self, project: ProjectCells, state: TargetState, old: _Entry | None) -> _Entry:
        target = state.target
        entry = _Entry(state, target, server_path(target), label_text(target), order_of(target))
        if old is not None:
            old.gone = True
            entry.seen, entry.last = old.seen, old.last
            entry.cell, entry.html = old.cell, old.html
        self._gone.pop(target.key, None)
        project.region = target.region
        project.entries[target.key.server_id] = entry
        project.disordered()
        return entry

    def _renew(self, entry: _Entry, now: float) -> None:
        if not entry.ageing and (end := stale_at(entry.state)) is not None and end >= now:
            entry.ageing = True
            heapq.heappush(self._ageing, (end, next(self._order), entry))
        cell = cell_of(entry.state, entry.href, entry.labels, now)
        if cell == entry.cell:
            return
        entry.cell, entry.html = cell, cell.html()
        self._mark(entry.target.key)

    def _age(self, now: float, most: int) -> bool:
        """Look at ``most`` verdicts that may be too old by now; return whether those were all."""
        for _ in range(most):
            if not self._ageing or self._ageing[0][0] >= now:
                return True
            entry = heapq.heappop(self._ageing)[2]
            entry.ageing = False
            if not entry.gone:
                self._renew(entry, now)
        return False

    def _mark(self, key: TargetKey) -> None:
        self._revision += 1
        self._changed.pop(key, None)
        self._changed[key] = self._revision

    def _entry(self, key: TargetKey) -> _Entry | None:
        project = self.projects.get(key.project)
        return project.entries.get(key.server_id) if project else None


def worst(project: ProjectCells) -> int:
    """Return the place of a project's worst condition in `HealthState`, the worst being 0."""
    found = {entry.cell.health_state for entry in project.entries.values() if entry.cell}
    return next((place for place, one in enumerate(HealthState) if one in found), len(HealthState))
