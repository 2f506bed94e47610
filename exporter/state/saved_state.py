"""The values that are written to the state file and read from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from exporter.model import Target, TargetKey
from exporter.state.target_snapshot import DamagedSnapshotError, TargetSnapshot

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProjectSnapshot:
    """The saved request rate and login of a project, each as JSON.

    ``login`` is secret: it is saved only if no other user can read the file.
    """

    rate: str | None = None
    login: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class SavedState:
    """The content of the state file at the start; each entry is removed when it is read."""

    targets: dict[TargetKey, tuple[str, bytes]] = field(default_factory=dict, repr=False)
    projects: dict[str, ProjectSnapshot] = field(default_factory=dict, repr=False)

    def target(self, target: Target) -> TargetSnapshot | None:
        """Return the saved state of a target, None if there is none."""
        saved = self.targets.pop(target.key, None)
        if saved is None:
            return None
        try:
            return TargetSnapshot.from_json(target, *saved)
        except DamagedSnapshotError as damage:
            log.warning("saved state of a server unreadable", server=target.name, why=str(damage))
            return None

    def project(self, project: str) -> ProjectSnapshot:
        """Return the saved state of a project; empty if there is none."""
        return self.projects.pop(project, ProjectSnapshot())


@dataclass(frozen=True, slots=True)
class StateChanges:
    """Changes to write: targets that changed or were removed, and projects that changed."""

    targets: Mapping[TargetKey, TargetSnapshot] = field(default_factory=dict)
    gone: Iterable[TargetKey] = ()
    projects: Mapping[str, ProjectSnapshot] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.targets or self.gone or self.projects)
