"""The values that are written to the state file and read from it."""

from dataclasses import dataclass, field

import structlog

from exporter.model import Target, TargetKey
from exporter.state.saved_target import DamagedStateError, SavedTarget
from exporter.state.store import TargetState

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SavedProject:
    """The saved request rate and login of a project, each as JSON.

    ``login`` is secret: it is saved only if no other user can read the file.
    """

    rate: str | None = None
    login: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class SavedState:
    """The content of the state file, or the part of it to write.

    An entry is removed when it is restored.
    """

    targets: dict[TargetKey, SavedTarget] = field(default_factory=dict, repr=False)
    projects: dict[str, SavedProject] = field(default_factory=dict, repr=False)

    def target(self, target: Target) -> TargetState | None:
        """Return the saved state of a target, None if there is none."""
        saved = self.targets.pop(target.key, None)
        if saved is None:
            return None
        try:
            return saved.restored(target)
        except DamagedStateError as damage:
            log.warning("saved state of a server unreadable", server=target.name, why=str(damage))
            return None

    def project(self, project: str) -> SavedProject:
        """Return the saved state of a project; empty if there is none."""
        return self.projects.pop(project, SavedProject())
