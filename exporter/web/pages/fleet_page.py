"""Render the fleet page: a grid of servers by project, the worst first, streamed in pieces."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import asdict, dataclass, field

from jinja2 import Environment
from markupsafe import Markup
from starlette.datastructures import QueryParams

from exporter.model import ProjectStatus
from exporter.web.errors import RequestRefusedError
from exporter.web.health_state import HealthState
from exporter.web.pages.fleet_cells import FleetCells, ProjectCells, worst
from exporter.web.pages.project_text import ProjectText, project_text
from exporter.web.pages.text import clock_text

# Divisible by every number of columns in status.css, so that every block ends with a full row.
# Browsers lay out only the blocks that are visible.
_BLOCK = 240
# Filtering this many takes one or two milliseconds.
_AT_ONCE = 2000
_PIECE_CHARACTERS = 32 * 1024
_TEXT_MAX = 256
_BAD_REQUEST = 400
# Filter for servers whose newest probe was inconclusive, in any health state.
INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Filter:
    """The requested servers; ``state`` is a `HealthState`, `INCONCLUSIVE`, or empty for all."""

    text: str = ""
    state: str = ""

    @classmethod
    def of(cls, query: QueryParams) -> "Filter":
        """Parse the filter of a request. Raises `RequestRefusedError`."""
        text, state = query.get("q", ""), query.get("state", "")
        if len(text) > _TEXT_MAX:
            raise RequestRefusedError(
                f"parameter q is longer than {_TEXT_MAX} characters", _BAD_REQUEST
            )
        if state and state not in {*HealthState, INCONCLUSIVE}:
            allowed = ", ".join([*HealthState, INCONCLUSIVE])
            raise RequestRefusedError(f"parameter state must be one of {allowed}", _BAD_REQUEST)
        return cls(text, state)


@dataclass(slots=True)
class CellList:
    """The cells of a project in one health state, as HTML.

    ``total`` counts all of them, ``inconclusive`` those whose newest probe was inconclusive, and
    ``cells`` holds those that match the filter.
    """

    health_state: HealthState
    total: int = 0
    inconclusive: int = 0
    cells: list[str] = field(default_factory=list)

    def blocks(self) -> Iterator[tuple[Markup, bool]]:
        """Yield each block and whether it is full; the cells are already escaped."""
        for start in range(0, len(self.cells), _BLOCK):
            block = self.cells[start : start + _BLOCK]
            yield Markup("").join(map(Markup, block)), len(block) == _BLOCK


@dataclass(frozen=True, slots=True)
class Section:
    """One project on the page."""

    name: str
    region: str
    text: ProjectText | None
    lists: tuple[CellList, ...]


class FleetPage:
    """Render the fleet page from ``cells``."""

    def __init__(self, cells: FleetCells, environment: Environment) -> None:
        self._cells = cells
        self._template = environment.get_template("fleet.html")

    async def pieces(
        self, statuses: Iterable[ProjectStatus], wanted: Filter, now: float
    ) -> AsyncIterator[bytes]:
        """Yield the page in pieces; the event loop runs between two pieces."""
        # The page fetches all changes after this revision.
        revision = self._cells.revision
        sections = [section async for section in self._sections(statuses, wanted, now)]
        totals = {
            health_state.value: sum(section.lists[index].total for section in sections)
            for index, health_state in enumerate(HealthState)
        }
        parts = self._template.generate(
            root="",
            now=now,
            at=clock_text(now, now),
            revision=revision,
            sections=sections,
            totals=totals,
            wanted=wanted,
            shown=sum(len(one.cells) for section in sections for one in section.lists),
            total=sum(totals.values()),
            inconclusive=sum(one.inconclusive for section in sections for one in section.lists),
        )
        piece: list[str] = []
        size = 0
        for part in parts:
            piece.append(part)
            size += len(part)
            if size >= _PIECE_CHARACTERS:
                yield _encoded(piece)
                piece, size = [], 0
                await asyncio.sleep(0)
        yield _encoded(piece)

    async def _sections(
        self, statuses: Iterable[ProjectStatus], wanted: Filter, now: float
    ) -> AsyncIterator[Section]:
        """Yield the projects, the worst health state first, then in the configured order."""
        known = {status.name: status for status in statuses}
        projects = {
            name: self._cells.projects.get(name) or ProjectCells(name, known[name].region)
            for name in (*known, *self._cells.projects)
        }
        for project in sorted(projects.values(), key=worst):
            status = known.get(project.name)
            yield Section(
                project.name,
                project.region,
                project_text(status, project.login, now) if status else None,
                await _lists(project, wanted),
            )


def project_texts_json(
    statuses: Iterable[ProjectStatus], cells: FleetCells, now: float
) -> list[dict[str, object]]:
    """Return each project's `ProjectText` as JSON values."""
    return [
        {"project": status.name, **asdict(project_text(status, project.login, now))}
        for status in statuses
        if (project := cells.projects.get(status.name)) is not None
    ]


async def _lists(project: ProjectCells, wanted: Filter) -> tuple[CellList, ...]:
    lists = {health_state: CellList(health_state) for health_state in HealthState}
    terms = tuple(wanted.text.lower().split())
    unfiltered = not terms and not wanted.state
    for index, entry in enumerate(project.in_order()):
        if index % _AT_ONCE == 0:
            await asyncio.sleep(0)
        cell = entry.cell
        if cell is None:
            continue
        one = lists[cell.health_state]
        one.total += 1
        one.inconclusive += bool(cell.doubt)
        states = (cell.health_state, INCONCLUSIVE if cell.doubt else "")
        if unfiltered or ((not wanted.state or wanted.state in states) and cell.matches(terms)):
            one.cells.append(entry.html)
    return tuple(lists.values())


def _encoded(parts: list[str]) -> bytes:
    # Lone surrogates cannot be encoded as UTF-8.
    return "".join(parts).encode(errors="replace")
