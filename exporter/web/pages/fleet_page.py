"""The fleet as a grid, project by project, the worst first; made in pieces."""

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

# Divisible by every number of columns that the style sheet has, so that no row breaks off where
# two blocks meet. A browser lays out only the blocks that are in sight.
_BLOCK = 240
# Looking at so many takes a millisecond or two.
_AT_ONCE = 2000
_PIECE_CHARACTERS = 32 * 1024
_TEXT_MAX = 256
_BAD_REQUEST = 400
# The state of those whose newest probe could not tell, whatever the verdict before.
DOUBT = "inconclusive"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which servers are asked for: ``state`` is a `HealthState`, `DOUBT`, or empty for all."""

    text: str = ""
    state: str = ""

    @classmethod
    def of(cls, query: QueryParams) -> "Filter":
        """Return the filter of a request; raises `RequestRefusedError`."""
        text, state = query.get("q", ""), query.get("state", "")
        if len(text) > _TEXT_MAX:
            raise RequestRefusedError(
                f"parameter q is longer than {_TEXT_MAX} characters", _BAD_REQUEST
            )
        if state and state not in {*HealthState, DOUBT}:
            words = ", ".join([*HealthState, DOUBT])
            raise RequestRefusedError(f"parameter state must be one of {words}", _BAD_REQUEST)
        return cls(text, state)


@dataclass(slots=True)
class CellList:
    """The cells of a project that are in one condition, as HTML; ``total`` counts all of them."""

    health_state: HealthState
    total: int = 0
    doubtful: int = 0
    cells: list[str] = field(default_factory=list)

    def blocks(self) -> Iterator[tuple[Markup, bool]]:
        """Yield the blocks, and whether each is full; cells have escaped what is in them."""
        for start in range(0, len(self.cells), _BLOCK):
            block = self.cells[start : start + _BLOCK]
            yield Markup("").join(map(Markup, block)), len(block) == _BLOCK


@dataclass(frozen=True, slots=True)
class Section:
    """One project on the page."""

    name: str
    region: str
    words: ProjectText | None
    lists: tuple[CellList, ...]


class FleetPage:
    """Renders the page."""

    def __init__(self, cells: FleetCells, environment: Environment) -> None:
        """Show ``cells``."""
        self._cells = cells
        self._template = environment.get_template("fleet.html")

    async def pieces(
        self, statuses: Iterable[ProjectStatus], wanted: Filter, now: float
    ) -> AsyncIterator[bytes]:
        """Yield the page, letting all else run between two pieces."""
        # What changes from here on is told to the page again.
        revision = self._cells.revision
        sections = [section async for section in self._sections(statuses, wanted, now)]
        totals = {
            health_state.value: sum(section.lists[place].total for section in sections)
            for place, health_state in enumerate(HealthState)
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
            doubt=DOUBT,
            doubtful=sum(one.doubtful for section in sections for one in section.lists),
        )
        gathered: list[str] = []
        size = 0
        for part in parts:
            gathered.append(part)
            size += len(part)
            if size >= _PIECE_CHARACTERS:
                yield _encoded(gathered)
                gathered, size = [], 0
                await asyncio.sleep(0)
        yield _encoded(gathered)

    async def _sections(
        self, statuses: Iterable[ProjectStatus], wanted: Filter, now: float
    ) -> AsyncIterator[Section]:
        """Yield the projects, those with the worst servers first, else as they are configured."""
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


def told_words(
    statuses: Iterable[ProjectStatus], cells: FleetCells, now: float
) -> list[dict[str, object]]:
    """Return each project's words as JSON values."""
    return [
        {"project": status.name, **asdict(project_text(status, project.login, now))}
        for status in statuses
        if (project := cells.projects.get(status.name)) is not None
    ]


async def _lists(project: ProjectCells, wanted: Filter) -> tuple[CellList, ...]:
    lists = {health_state: CellList(health_state) for health_state in HealthState}
    terms = tuple(wanted.text.lower().split())
    everything = not terms and not wanted.state
    for place, entry in enumerate(project.in_order()):
        if place % _AT_ONCE == 0:
            await asyncio.sleep(0)
        cell = entry.cell
        if cell is None:
            continue
        one = lists[cell.health_state]
        one.total += 1
        one.doubtful += bool(cell.doubt)
        if everything or (
            (not wanted.state or wanted.state in (cell.health_state, DOUBT if cell.doubt else ""))
            and cell.matches(terms)
        ):
            one.cells.append(entry.html)
    return tuple(lists.values())


def _encoded(parts: list[str]) -> bytes:
    # Half a surrogate pair cannot be told in UTF-8.
    return "".join(parts).encode(errors="replace")
