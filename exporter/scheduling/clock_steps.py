"""Detect steps of the wall clock, which the schedule depends on."""

from exporter.clock import Clock

# A slewed clock is up to 10 % too fast or too slow; a larger difference is a step.
_STEP_MIN = 1.0


class ClockSteps:
    """Compare the wall clock with the monotonic clock, which cannot be set.

    Call `detected` about once a second, so that slow changes do not add up to a step.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = self._measured()

    def detected(self) -> bool:
        """Return whether the wall clock was set since the last call."""
        before, self._ahead = self._ahead, self._measured()
        return abs(self._ahead - before) >= _STEP_MIN

    def _measured(self) -> float:
        return self._clock.time() - self._clock.monotonic()
