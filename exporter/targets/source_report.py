"""Format the servers of each source of a project as text."""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.config.config import Project
from exporter.model import Target, TargetKey
from exporter.targets.source import Source


@dataclass(frozen=True, slots=True)
class SourceReport:
    """The servers of one source; ``failure`` is the error if the source could not be read."""

    source: Source
    targets: tuple[Target, ...] = ()
    failure: str = ""


def source_reports_text(project: Project, reports: Iterable[SourceReport]) -> str:
    """Return one line per server, grouped by source in the order of precedence."""
    first: dict[TargetKey, Source] = {}
    lines = [f"project {project.name} ({project.region})"]
    for one in reports:
        if one.failure:
            lines.append(f"  {one.source}: failed")
            continue
        count = len(one.targets)
        lines.append(f"  {one.source}: {'1 server' if count == 1 else f'{count} servers'}")
        rows = []
        for target in one.targets:
            winner = first.setdefault(target.key, one.source)
            labels = " ".join(f"{name}={text}" for name, text in target.labels)
            note = "" if winner is one.source else f"(overridden by {winner}) "
            rows.append((target.key.server_id, target.name, note + labels))
        lines += _aligned(rows)
    return "\n".join(lines)


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    ids = max((len(row[0]) for row in rows), default=0)
    names = max((len(row[1]) for row in rows), default=0)
    return [f"    {row[0]:{ids}}  {row[1]:{names}}  {row[2]}".rstrip() for row in rows]
