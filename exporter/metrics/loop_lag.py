"""How late the event loop is: what it held up, every probe's latency shows falsely."""

from collections import deque

from exporter.clock import Clock

_PERIOD = 0.25
_WINDOW = 60.0


class LoopLag:
    """Measures how much later than asked a sleep returns.

    What holds the loop for less than the rest of a sleep is not seen; four looks a second cost
    nothing and see all that holds it for long.
    """

    def __init__(self, clock: Clock) -> None:
        """Measure with ``clock``; nothing is measured until `run`."""
        self._clock = clock
        # Each later one is smaller, so the first is the worst.
        self._lags: deque[tuple[float, float]] = deque()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock.monotonic() + _PERIOD
            await self._clock.sleep(_PERIOD)
            now = self._clock.monotonic()
            self._note(now, max(0.0, now - due))

    def worst(self) -> float | None:
        """Return the longest lag of the last minute in seconds; None when none was measured."""
        self._forget(self._clock.monotonic())
        return self._lags[0][1] if self._lags else None

    def _note(self, now: float, lag: float) -> None:
        while self._lags and self._lags[-1][1] <= lag:
            self._lags.pop()
        self._lags.append((now, lag))
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._lags and self._lags[0][0] <= now - _WINDOW:
            self._lags.popleft()
