"""Hold the state of every target and save it across restarts."""

from exporter.state.console_events import ConsoleEvents
from exporter.state.history import History
from exporter.state.project_events import ProjectEvents
from exporter.state.store import StateListener, StateStore, TargetState
from exporter.state.target_snapshot import TargetSnapshot

__all__ = [
    "ConsoleEvents",
    "History",
    "ProjectEvents",
    "StateListener",
    "StateStore",
    "TargetSnapshot",
    "TargetState",
]
