"""Queue the requests of one project and grant permits within its rate limit."""

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field, replace

import httpx

from exporter.clock import Clock
from exporter.ratelimit.adaptive_rate import AdaptiveRate
from exporter.ratelimit.retry_after import RETRY_AFTER_MAX, RateLimitResponse
from exporter.ratelimit.snapshot import RateSnapshot

_THROTTLED = 429
# Tolerance for a clock that was set back between two starts.
_FUTURE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission to send one request; ``granted_at`` is monotonic time, ``waited`` is seconds."""

    granted_at: float
    waited: float


@dataclass(slots=True, order=True)
class _Waiter:
    due: float
    order: int
    granted: asyncio.Future[float] = field(compare=False)


class Throttle:
    """Grants permits at an adaptive rate, in order of due time.

    ``requests_per_second`` is the ceiling, at which the throttle starts; ``burst`` requests may go
    at once. At most one timer runs, for the head of the queue. Cancelled waiters are removed from
    the heap when they reach its head, or together once they are over half of it.
    """

    def __init__(self, *, requests_per_second: float, burst: int, clock: Clock) -> None:
        self._clock = clock
        self._rate = AdaptiveRate(requests_per_second, burst, clock.monotonic())
        self._heap: list[_Waiter] = []
        self._waiting = 0
        self._order = itertools.count()
        self._timer: asyncio.Task[None] | None = None
        self._wakes_at = 0.0
        self._resume_at = 0.0

    @property
    def limit(self) -> float:
        """Return the current rate limit in requests per second."""
        return self._rate.limit(self._clock.monotonic())

    @property
    def ceiling(self) -> float:
        """Return the configured maximum rate in requests per second."""
        return self._rate.ceiling

    @property
    def queue_length(self) -> int:
        """Return the number of requests waiting for a permit."""
        return self._waiting

    @property
    def resume_at(self) -> float:
        """Return the end of the current or last cool-down in Unix seconds; 0 if there was none."""
        return self._resume_at

    def snapshot(self) -> str | None:
        """Return the state to save, as one line of JSON; None before the first 429."""
        snapshot = self._rate.snapshot()
        if snapshot is None:
            return None
        return snapshot.shifted(self._clock.time() - self._clock.monotonic()).to_json()

    def restore(self, saved: str) -> None:
        """Restore the state that `snapshot` returned before a restart.

        Invalid text, or state from over a minute in the future, is ignored. The cool-down ends
        within 240 s.
        """
        now, monotonic = self._clock.time(), self._clock.monotonic()
        snapshot = RateSnapshot.from_json(saved)
        if snapshot is None or snapshot.lowered_at > now + _FUTURE_SECONDS:
            return
        snapshot = snapshot.shifted(min(0.0, now - snapshot.lowered_at))
        self._resume_at = min(snapshot.resume_at, now + RETRY_AFTER_MAX)
        snapshot = replace(snapshot, resume_at=self._resume_at)
        self._rate.restore(snapshot.shifted(monotonic - now), monotonic)

    async def permit(self, due: float) -> Permit:
        """Wait for a permit to send one request: lowest ``due`` first, then first come.

        Pass the permit to `answered` afterwards. Cancelling the wait uses up no permit.
        """
        requested_at = self._clock.monotonic()
        if not self._waiting and self._rate.wait(requested_at) <= 0:
            self._rate.take(requested_at)
            return Permit(requested_at, 0.0)
        waiter = _Waiter(due, next(self._order), asyncio.get_running_loop().create_future())
        heapq.heappush(self._heap, waiter)
        self._waiting += 1
        self._serve()
        try:
            granted_at = await waiter.granted
        except asyncio.CancelledError:
            self._leave(waiter)
            raise
        return Permit(granted_at, granted_at - requested_at)

    def give_back(self) -> None:
        """Take back a permit for which nothing was sent."""
        self._rate.give_back(self._clock.monotonic())
        self._serve()

    def answered(self, permit: Permit, status: int | None, response: httpx.Response | None) -> None:
        """Record the result of a permit; ``status`` is None if unused, or without a response."""
        now = self._clock.monotonic()
        if status is None:
            self._rate.unanswered(permit.granted_at)
        elif status == _THROTTLED:
            unix_now = self._clock.time()
            parsed = RateLimitResponse.of(response, unix_now) if response else RateLimitResponse()
            self._rate.refused(permit.granted_at, now, parsed)
            self._resume_at = unix_now + self._rate.resume_at - now
        else:
            self._rate.accepted(permit.granted_at, now)
        self._serve()

    def _leave(self, waiter: _Waiter) -> None:
        if waiter.granted.cancelled():
            self._waiting -= 1
        else:
            # Granted and cancelled in the same moment: the next waiter gets the permit.
            self._rate.give_back(self._clock.monotonic())
        if len(self._heap) > 2 * self._waiting + 64:
            self._heap = [waiter for waiter in self._heap if not waiter.granted.done()]
            heapq.heapify(self._heap)
        self._serve()

    def _serve(self) -> None:
        """Grant the permits available now, and set the timer for the next one."""
        while self._heap:
            if self._heap[0].granted.done():
                heapq.heappop(self._heap)
                continue
            now = self._clock.monotonic()
            wait = self._rate.wait(now)
            if wait > 0:
                self._wake_in(wait, now)
                return
            self._rate.take(now)
            heapq.heappop(self._heap).granted.set_result(now)
            self._waiting -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_in(self, seconds: float, now: float) -> None:
        if self._timer is not None:
            # A timer that fires too early restarts itself.
            if self._wakes_at <= now + seconds:
                return
            self._timer.cancel()
        self._wakes_at = now + seconds
        self._timer = asyncio.create_task(self._wake(seconds))

    async def _wake(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._timer = None
        self._serve()
