"""Notice when the wall clock is set: the schedule goes by it, and nothing else tells."""

from exporter.clock import Clock

# Clocks that are slewed run up to a tenth too fast or too slow; what is set jumps.
_STEP_MIN = 1.0


class ClockSteps:
    """Compares the wall clock with the monotonic one, which nobody can set.

    To be asked every second or so, lest slow changes add up to a step.
    """

    def __init__(self, clock: Clock) -> None:
        """Take the wall clock for right as it is now."""
        self._clock = clock
        self._ahead = self._measured()

    def seen(self) -> bool:
        """Return whether the wall clock was set since the last call."""
        before, self._ahead = self._ahead, self._measured()
        return abs(self._ahead - before) >= _STEP_MIN

    def _measured(self) -> float:
        return self._clock.time() - self._clock.monotonic()
