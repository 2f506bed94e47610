"""What is known of every target, now and across a restart."""

from exporter.state.console_events import ConsoleEvents
from exporter.state.history import History
from exporter.state.memory import Memory
from exporter.state.project_events import ProjectEvents
from exporter.state.store import StateListener, StateStore, TargetState

__all__ = [
    "ConsoleEvents",
    "History",
    "Memory",
    "ProjectEvents",
    "StateListener",
    "StateStore",
    "TargetState",
]
