"""One server as a cell of the grid: its content and its HTML."""

import re
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import escape

from exporter.model import Target
from exporter.state import TargetState
from exporter.web.health_state import HealthState, health_state_of, last_inconclusive
from exporter.web.pages.text import outcome_text

# The grid truncates longer names; the tooltip shows the whole name.
_NAME_FITS = 18
_DIGITS = re.compile("[0-9]+")


class Cell(NamedTuple):
    """The content of a cell, without anything that changes with every probe.

    ``note`` is the reason why the server is not working. ``doubt`` is the reason why the newest
    probe was inconclusive, else empty.
    """

    href: str
    project: str
    name: str
    labels: str
    health_state: HealthState
    note: str
    doubt: str

    def html(self) -> str:
        """Return the cell as a link to its server."""
        hints = [self.name] if len(self.name) > _NAME_FITS else []
        if self.doubt:
            hints.append(f"the last probe was inconclusive: {self.doubt}")
        return "".join(
            (
                f'<a href="{escape(self.href)}"',
                ' class="doubt"' if self.doubt else "",
                f' title="{escape("; ".join(hints))}"' if hints else "",
                f' data-labels="{escape(self.labels)}"' if self.labels else "",
                f">{escape(self.name)}",
                f"<small>{escape(self.note)}</small>" if self.note else "",
                "</a>",
            )
        )

    def matches(self, terms: tuple[str, ...]) -> bool:
        """Return whether the cell contains all ``terms``, which are in lower case."""
        text = f"{self.project} {self.name} {self.href} {self.labels} {self.note}".lower()
        return all(term in text for term in terms)


def cell_of(state: TargetState, href: str, labels: str, now: float) -> Cell:
    """Return the cell of a server at ``now``, Unix time in seconds."""
    target, last = state.target, state.last
    health_state = health_state_of(state, now)
    return Cell(
        href,
        target.key.project,
        target.name,
        labels,
        health_state,
        _note(state, health_state),
        outcome_text(last) if last is not None and last_inconclusive(state) else "",
    )


def server_path(target: Target) -> str:
    """Return the path of a server's page, relative to the fleet's."""
    key = target.key
    return f"servers/{quote(key.project, safe='')}/{quote(key.server_id, safe='')}"


def label_text(target: Target) -> str:
    """Return a target's labels as one searchable text."""
    return " ".join(f"{name}={text}" for name, text in target.labels)


def order_of(target: Target) -> tuple[str, str]:
    """Return the sort key of a server: its name in natural order, web-2 before web-10."""
    name = _DIGITS.sub(lambda digits: digits[0].zfill(12), target.name.lower())
    return name, target.key.server_id


def _note(state: TargetState, health_state: HealthState) -> str:
    verdict = state.last_verdict
    if verdict is None:
        return outcome_text(state.last) if state.last else "not probed yet"
    if health_state is HealthState.WORKING:
        return ""
    if health_state is HealthState.STALE:
        return "was working" if state.success else f"was failing: {outcome_text(verdict)}"
    return outcome_text(verdict)
