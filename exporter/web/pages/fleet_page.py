"""The status page: projects and servers with their state, worst first."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.state import StateStore, TargetState

_WORST_FIRST = ("failing", "unknown", "working")
_MARK = {"failing": "✕", "unknown": "?", "working": "●"}


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One server as the page shows it."""

    name: str
    server_id: str
    condition: str
    mark: str
    outcome: str
    stage: str
    duration: str
    since: str
    detail: str


@dataclass(frozen=True, slots=True)
class ProjectSection:
    """One project as the page shows it."""

    name: str
    region: str
    counts: tuple[tuple[str, int], ...]
    rows: tuple[ServerRow, ...]


class StatusPage:
    """Renders the page. Everything from outside is escaped."""

    def __init__(self, version: str) -> None:
        """Prepare the template."""
        environment = Environment(
            loader=PackageLoader("exporter.web.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("status.html")
        self._version = version

    def render(self, state: StateStore, now: float) -> str:
        """Return the page as HTML; ``now`` is Unix time in seconds."""
        by_project: dict[str, list[TargetState]] = {}
        for known in state:
            by_project.setdefault(known.target.key.project, []).append(known)
        return self._template.render(
            version=self._version,
            at=datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            sections=[_section(name, states, now) for name, states in by_project.items()],
        )


def _section(name: str, states: list[TargetState], now: float) -> ProjectSection:
    rows = sorted(
        (_row(known, now) for known in states),
        key=lambda row: (_WORST_FIRST.index(row.condition), row.name),
    )
    counts = Counter(row.condition for row in rows)
    return ProjectSection(
        name=name,
        region=states[0].target.region,
        counts=tuple((condition, counts[condition]) for condition in _WORST_FIRST),
        rows=tuple(rows),
    )


def _row(known: TargetState, now: float) -> ServerRow:
    condition = {None: "unknown", True: "working", False: "failing"}[known.success]
    last, attempt = known.last, known.last_attempt
    return ServerRow(
        name=known.target.name,
        server_id=known.target.key.server_id,
        condition=condition,
        mark=_MARK[condition],
        outcome=last.outcome.value if last else "not probed yet",
        stage=last.failed_stage.value if last and last.failed_stage else "",
        duration=f"{attempt.duration_seconds * 1000:.0f} ms" if attempt and attempt.stages else "",
        since=f"{max(0.0, now - attempt.started_at):.0f} s ago" if attempt else "",
        detail=last.detail if last else "",
    )
