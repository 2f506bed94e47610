"""The queue in front of every request of one project: who may ask, and when."""

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field, replace

from exporter.clock import Clock
from exporter.http.response import Answer
from exporter.ratelimit.adaptive_rate import Pace
from exporter.ratelimit.retry_after import RETRY_AFTER_MAX, Refusal
from exporter.ratelimit.snapshot import Learned

_THROTTLED = 429
# A clock may have been put right by a little between two starts.
_FUTURE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to send one request: when it was granted (monotonic seconds), how long it took."""

    granted_at: float
    waited: float


@dataclass(slots=True, order=True)
class _Waiter:
    due: float
    order: int
    granted: asyncio.Future[float] = field(compare=False)


class Throttle:
    """Grants turns at an adapting pace, to who is due first.

    One timer at most runs, for the head of the queue. Waiters that were cancelled leave the heap
    when they come to its head, or when they make up most of it.
    """

    def __init__(self, *, requests_per_second: float, burst: int, clock: Clock) -> None:
        """Start at the ceiling of ``requests_per_second``, with ``burst`` requests at once."""
        self._clock = clock
        self._pace = Pace(requests_per_second, burst, clock.monotonic())
        self._heap: list[_Waiter] = []
        self._waiting = 0
        self._order = itertools.count()
        self._timer: asyncio.Task[None] | None = None
        self._wakes_at = 0.0
        self._resume_at = 0.0

    @property
    def limit(self) -> float:
        """Return the pace now, requests a second."""
        return self._pace.limit(self._clock.monotonic())

    @property
    def ceiling(self) -> float:
        """Return the pace that is never exceeded, requests a second."""
        return self._pace.ceiling

    @property
    def queue_length(self) -> int:
        """Return the number of requests that wait for their turn."""
        return self._waiting

    @property
    def resume_at(self) -> float:
        """Return the end of the current or last cool-down, Unix seconds; 0 if there was none."""
        return self._resume_at

    def learned(self) -> Learned | None:
        """Return what is worth knowing after a restart, in Unix time; None when nothing is."""
        learned = self._pace.learned()
        return learned.shifted(self._clock.time() - self._clock.monotonic()) if learned else None

    def recall(self, learned: Learned) -> None:
        """Begin with what `learned` gave before a restart, as far as it still holds."""
        now = self._clock.time()
        ahead = max(0.0, learned.lowered_at - now)
        if ahead > _FUTURE_SECONDS:
            return
        learned = learned.shifted(-ahead)
        learned = replace(learned, resume_at=min(learned.resume_at, now + RETRY_AFTER_MAX))
        self._resume_at = learned.resume_at
        monotonic = self._clock.monotonic()
        self._pace.recall(learned.shifted(monotonic - now), monotonic)

    async def turn(self, due: float) -> Turn:
        """Wait for leave to send one request; lower ``due`` first, then who asked first.

        Tell `answered` what became of it. A wait that is cancelled costs nobody a turn.
        """
        asked_at = self._clock.monotonic()
        if not self._waiting and self._pace.wait(asked_at) <= 0:
            self._pace.take(asked_at)
            return Turn(asked_at, 0.0)
        waiter = _Waiter(due, next(self._order), asyncio.get_running_loop().create_future())
        heapq.heappush(self._heap, waiter)
        self._waiting += 1
        self._serve()
        try:
            granted_at = await waiter.granted
        except asyncio.CancelledError:
            self._leave(waiter)
            raise
        return Turn(granted_at, granted_at - asked_at)

    def answered(self, turn: Turn, status: int | None, answer: Answer | None) -> None:
        """Learn what a request of this turn was answered; None: no answer, or not sent at all."""
        now = self._clock.monotonic()
        if status is None:
            self._pace.unanswered(turn.granted_at)
        elif status == _THROTTLED:
            unix_now = self._clock.time()
            refusal = Refusal.of(answer, unix_now) if answer else Refusal()
            self._pace.refused(turn.granted_at, now, refusal)
            self._resume_at = unix_now + self._pace.resume_at - now
        else:
            self._pace.let_through(turn.granted_at, now)
        self._serve()

    def _leave(self, waiter: _Waiter) -> None:
        if waiter.granted.cancelled():
            self._waiting -= 1
        else:
            # Granted and cancelled at the same moment: the turn goes to the next.
            self._pace.give_back(self._clock.monotonic())
        if len(self._heap) > 2 * self._waiting + 64:
            self._heap = [waiter for waiter in self._heap if not waiter.granted.done()]
            heapq.heapify(self._heap)
        self._serve()

    def _serve(self) -> None:
        """Grant the turns that can be granted now, and set the timer for the next."""
        while self._heap:
            if self._heap[0].granted.done():
                heapq.heappop(self._heap)
                continue
            now = self._clock.monotonic()
            wait = self._pace.wait(now)
            if wait > 0:
                self._wake_in(wait, now)
                return
            self._pace.take(now)
            heapq.heappop(self._heap).granted.set_result(now)
            self._waiting -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_in(self, seconds: float, now: float) -> None:
        if self._timer is not None:
            # One that wakes too early sets itself anew.
            if self._wakes_at <= now + seconds:
                return
            self._timer.cancel()
        self._wakes_at = now + seconds
        self._timer = asyncio.create_task(self._wake(seconds))

    async def _wake(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._timer = None
        self._serve()
