"""What passes between the program and its state file: what is to be kept, and what came back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from exporter.model import Target, TargetKey
from exporter.state.target_snapshot import DamagedSnapshotError, TargetSnapshot

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProjectSnapshot:
    """What a project wants to be told after a restart, in its own words.

    ``login`` opens doors: it is kept only in a file that nobody else can read.
    """

    pace: str | None = None
    login: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class SavedState:
    """What a state file holds of the time before the start; each part serves once."""

    targets: dict[TargetKey, tuple[str, bytes]] = field(default_factory=dict, repr=False)
    projects: dict[str, ProjectSnapshot] = field(default_factory=dict, repr=False)

    def target(self, target: Target) -> TargetSnapshot | None:
        """Return what is remembered of a target, None where that is nothing."""
        saved = self.targets.pop(target.key, None)
        if saved is None:
            return None
        try:
            return TargetSnapshot.from_json(target, *saved)
        except DamagedSnapshotError as damage:
            log.warning("a server's state cannot be read", server=target.name, why=str(damage))
            return None

    def project(self, project: str) -> ProjectSnapshot:
        """Return the note of a project."""
        return self.projects.pop(project, ProjectSnapshot())


@dataclass(frozen=True, slots=True)
class StateChanges:
    """What is to be written: targets that changed or went, and notes that did."""

    targets: Mapping[TargetKey, TargetSnapshot] = field(default_factory=dict)
    gone: Iterable[TargetKey] = ()
    projects: Mapping[str, ProjectSnapshot] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.targets or self.gone or self.projects)
