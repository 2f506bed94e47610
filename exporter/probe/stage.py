"""How a stage says that it failed."""

from exporter.model import Stage
from exporter.outcome import Outcome


class StageFailedError(Exception):
    """A stage gave a verdict that is no success; the message is for people, free of secrets.

    ``stage`` is given where it is not the one that was running.
    """

    def __init__(self, outcome: Outcome, detail: str, stage: Stage | None = None) -> None:
        """Keep the outcome beside the message."""
        super().__init__(detail)
        self.outcome = outcome
        self.stage = stage
