"""What is known of every target."""

from exporter.state.store import StateListener, StateStore, TargetState

__all__ = ["StateListener", "StateStore", "TargetState"]
