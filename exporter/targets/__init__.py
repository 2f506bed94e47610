"""The target set: what is to be probed, and which target a name means."""

from exporter.targets.lookup import TargetNotFoundError, find_target
from exporter.targets.static import project_targets, targets_of

__all__ = ["TargetNotFoundError", "find_target", "project_targets", "targets_of"]
