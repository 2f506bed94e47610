"""Arrange panels in lines of 24 columns under row titles."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

from grafana_foundation_sdk.models.dashboard import GridPos, Panel, RowPanel

COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side: the height, and width and panel of each."""

    height: int
    panels: tuple[tuple[int, Panel], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row title and the lines of panels below it."""

    title: str
    lines: tuple[Line, ...]


def line(height: int, widths: Sequence[int], *panels: Panel) -> Line:
    """Put panels side by side; raises `ValueError` unless the widths add up to 24."""
    if sum(widths) != COLUMNS:
        raise ValueError(f"{[panel.title for panel in panels]} do not fill {COLUMNS} columns")
    return Line(height, tuple(zip(widths, panels, strict=True)))


def row(title: str, *lines: Line) -> Row:
    """Put lines of panels under a row title."""
    return Row(title, lines)


def placed(rows: Iterable[Row]) -> list[Panel | RowPanel]:
    """Set the position and the id of each panel.

    The id is a hash of the title, so that links to a panel stay valid when others are added. Raises
    `ValueError` if two panels have the same id.
    """
    panels = list(_placed(rows))
    titles: dict[int | None, str | None] = {}
    for panel in panels:
        if panel.id_val in titles:
            raise ValueError(
                f"{panel.title!r} and {titles[panel.id_val]!r} share an id: rename one"
            )
        titles[panel.id_val] = panel.title
    return panels


def _placed(rows: Iterable[Row]) -> Iterator[Panel | RowPanel]:
    top = 0
    for each in rows:
        yield RowPanel(
            title=each.title,
            id_val=_id(f"row {each.title}"),
            grid_pos=GridPos(h=1, w=COLUMNS, x=0, y=top),
        )
        top += 1
        for one in each.lines:
            left = 0
            for width, panel in one.panels:
                panel.id_val = _id(panel.title or "")
                panel.grid_pos = GridPos(h=one.height, w=width, x=left, y=top)
                left += width
                yield panel
            top += one.height


def _id(title: str) -> int:
    return 1 + crc32(title.encode()) % 99_999
