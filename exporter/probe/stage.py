"""The error that a failed stage raises."""

from exporter.model import Stage
from exporter.outcome import Outcome


class StageFailedError(Exception):
    """A stage ended with an outcome other than success; the message is for people, without secrets.

    ``stage`` is the failed stage; None is the one that is running.
    """

    def __init__(self, outcome: Outcome, detail: str, stage: Stage | None = None) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.stage = stage
