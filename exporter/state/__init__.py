"""What is known of every target."""

from exporter.state.console_events import ConsoleEvents
from exporter.state.store import StateListener, StateStore, TargetState

__all__ = ["ConsoleEvents", "StateListener", "StateStore", "TargetState"]
