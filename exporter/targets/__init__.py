"""Determine the targets to probe and find a target by name."""

from exporter.targets.lookup import TargetNotFoundError, find_target
from exporter.targets.static import project_targets, targets_of

__all__ = ["TargetNotFoundError", "find_target", "project_targets", "targets_of"]
