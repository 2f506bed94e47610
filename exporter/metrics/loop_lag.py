"""Measure event-loop lag: a blocked loop makes every probe look slower than it is."""

from collections import deque

from exporter.clock import Clock

_PERIOD = 0.25
_WINDOW = 60.0


class LoopLag:
    """Measure how late the event loop wakes up from a sleep of a quarter of a second.

    If the loop is blocked for less than that, it may not be noticed: the block may end before the
    sleep does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # (time, lag), lags descending: the first is the maximum.
        self._lags: deque[tuple[float, float]] = deque()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock.monotonic() + _PERIOD
            await self._clock.sleep(_PERIOD)
            now = self._clock.monotonic()
            self._add(now, max(0.0, now - due))

    def worst(self) -> float | None:
        """Return the maximum lag of the last minute in seconds; None if not measured yet."""
        self._drop_old(self._clock.monotonic())
        return self._lags[0][1] if self._lags else None

    def _add(self, now: float, lag: float) -> None:
        while self._lags and self._lags[-1][1] <= lag:
            self._lags.pop()
        self._lags.append((now, lag))
        self._drop_old(now)

    def _drop_old(self, now: float) -> None:
        while self._lags and self._lags[0][0] <= now - _WINDOW:
            self._lags.popleft()
