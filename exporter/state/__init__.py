"""Hold the state of every target and save it across restarts."""

from exporter.state.console_events import ConsoleEvents
from exporter.state.project_events import ProjectEvents
from exporter.state.store import StateStore, TargetState

__all__ = ["ConsoleEvents", "ProjectEvents", "StateStore", "TargetState"]
