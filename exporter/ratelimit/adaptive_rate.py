"""Adapt the throttle's request rate to a quota that is not known.

No I/O, and no clock of its own. A token bucket whose rate reacts to 429 responses:

    ceiling ---+                                              +-----------
               | 429                                          |
               |                                             /
    plateau    |        +-----------------------__________---
    half       +--------+   just below the quota   exploring
               cool-down
               0                                 170 s       290 s

- A 429 halves the rate and starts a cool-down. Then a single test request checks whether the quota
  is open again. A 429 for a request sent before the rate was halved does not halve it again.
- The rate reaches the plateau four seconds after the quota reopens. The plateau is the rate that
  the quota should sustain, estimated from where the last 429 came:
    - on the plateau: 5 % below the measured rate, that is the requests accepted since the quota
      reopened, divided by the time since then. If the test request gets a 429 too, the quota must
      be a number of requests per window that is used up, and the time starts earlier: at the 429
      after which the quota reopened;
    - while exploring: half the rate at the 429, and at least 1.2 times the last plateau. The quota
      is larger than the plateau, so the accepted requests do not measure it;
    - at the ceiling: half of it, because nothing is known yet.
  It is always at least 5 % below the rate at the 429, and 5 % below the quota that the 429 states
  (the policy), if any.
- Exploring starts late and steepens like CUBIC (RFC 9438), so that a steady quota answers 429 only
  once or twice in such a cycle. 290 s after the last 429 the rate is back at the ceiling.
- The burst size grows with the rate: a burst against a used-up quota gets only 429s.

All times are seconds of one monotonic clock, all rates are requests per second.
"""

from exporter.ratelimit.retry_after import RateLimitResponse
from exporter.ratelimit.snapshot import RateSnapshot

RECOVERY = 290.0
"""Seconds from the last 429 until the rate is back at its ceiling."""

_EXPLORING = 120.0
_STEEPNESS = 5
_APPROACH = 4.0
_BELOW = 0.95
_GROWTH = 1.2
# One request per minute. A slower rate would notice a reopened quota too late.
_FLOOR = 1 / 60

_COOL_DOWN_MIN = 2.0
_COOL_DOWN_MAX = 60.0
# The quota of a long window may reopen at any time: try after a 20th of the window, then double
# the wait.
_WINDOW_SHARE = 20
# Longest wait for the result of the test request, whose own deadline may be far later.
_TEST_TIMEOUT = 2.0

_ENOUGH = 1 - 1e-9
_WAIT_MIN = 1e-3
_NEVER = float("-inf")


class AdaptiveRate:
    """Token bucket with a rate that adapts to the results of the requests.

    Starts at ``ceiling`` requests per second with a full ``burst``.
    """

    def __init__(self, ceiling: float, burst: int, now: float) -> None:
        self.ceiling = ceiling
        self._burst = burst
        self._floor = min(_FLOOR, ceiling)
        self._tokens = float(burst)
        self._filled_at = now

        self.lowered_at = _NEVER
        self.resume_at = _NEVER
        self._cool_down = 0.0
        self._is_next_test = False
        self._blocked_until = _NEVER
        self._reopened_at: float | None = None

        self._low = self._plateau = self._before = self._refused = ceiling
        self._refused_at = 1.0
        self._closed_at: float | None = None
        self._accepted = 0

    def snapshot(self) -> RateSnapshot | None:
        """Return the state to save; None before the first 429."""
        if self.lowered_at == _NEVER:
            return None
        return RateSnapshot(
            lowered_at=self.lowered_at,
            resume_at=self.resume_at,
            cool_down=self._cool_down,
            low=self._low,
            plateau=self._plateau,
            before=self._before,
            refused=self._refused,
            refused_at=self._refused_at,
        )

    def restore(self, snapshot: RateSnapshot, now: float) -> None:
        """Restore the state saved before a restart, conservatively.

        The cool-down continues, a single test request checks whether the quota is open, and no
        rate exceeds the ceiling, which may be lower than before.
        """
        if now - snapshot.lowered_at >= RECOVERY and snapshot.resume_at <= now:
            return

        def bounded(rate: float) -> float:
            return min(self.ceiling, max(self._floor, rate))

        self.lowered_at = min(now, snapshot.lowered_at)
        self._cool_down = min(_COOL_DOWN_MAX, max(0.0, snapshot.cool_down))
        self._low = bounded(snapshot.low)
        self._plateau = bounded(snapshot.plateau)
        self._before = bounded(snapshot.before)
        self._refused = bounded(snapshot.refused)
        self._refused_at = min(1.0, max(0.0, snapshot.refused_at))
        self._close_until(max(now, snapshot.resume_at))

    def limit(self, now: float) -> float:
        """Return the rate limit at ``now``."""
        explored = self._explored(now)
        if explored >= 1:
            return self.ceiling
        base = self._low
        if self._reopened_at is not None:
            progress = min(1.0, max(0.0, (now - self._reopened_at) / _APPROACH))
            base += (self._plateau - self._low) * progress
        return base + (self.ceiling - base) * explored

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may go; 0 if it may go now.

        While the rate rises this is a lower bound: call it again after that time.
        """
        blocked = max(self.resume_at, self._blocked_until) - now
        if blocked > 0:
            return blocked
        self._fill(now)
        if self._tokens >= _ENOUGH:
            return 0.0
        missing = 1 - self._tokens
        at_most = missing / self.limit(now)
        return max(_WAIT_MIN, missing / self.limit(now + at_most))

    def take(self, now: float) -> None:
        """Take a token for one request; call only if `wait` returned 0."""
        self._fill(now)
        self._tokens = max(0.0, self._tokens - 1)
        if self._is_next_test:
            self._is_next_test = False
            self._blocked_until = now + _TEST_TIMEOUT

    def give_back(self, now: float) -> None:
        """Return the token of a request that was not sent."""
        self._fill(now)
        self._tokens = min(self._capacity(now), self._tokens + 1)
        self._is_next_test |= now < self._blocked_until
        self._blocked_until = _NEVER

    def accepted(self, granted_at: float, now: float) -> None:
        """Record a response other than 429 to a request granted at ``granted_at``."""
        if granted_at <= self.lowered_at:
            return
        self._blocked_until = _NEVER
        self._accepted += 1
        if self._reopened_at is None and self.lowered_at > _NEVER:
            self._reopened_at = now
            self._closed_at = self.lowered_at
            self._accepted = 1

    def unanswered(self, granted_at: float) -> None:
        """Record that a request granted at ``granted_at`` got no response or was not sent."""
        if granted_at > self.lowered_at:
            self._blocked_until = _NEVER

    def refused(self, granted_at: float, now: float, response: RateLimitResponse) -> None:
        """Record a 429 to a request granted at ``granted_at``."""
        if granted_at <= self.lowered_at:
            if response.retry_after is not None:
                self._close_until(now + response.retry_after)
            return
        limit = self.limit(now)
        explored = self._explored(now)
        still_closed = self._reopened_at is None and explored < 1
        if not still_closed:
            self._refused, self._refused_at, self._before = limit, explored, self._plateau
        self._plateau = self._sustainable(now, response, still_closed=still_closed)
        self._low = max(self._floor, min(limit / 2, self._plateau))
        self._cool_down = self._next_cool_down(response, still_closed=still_closed)
        self.lowered_at = now
        self._blocked_until = _NEVER
        self._reopened_at = None
        self._close_until(now + self._cool_down)

    def _sustainable(self, now: float, response: RateLimitResponse, *, still_closed: bool) -> float:
        """Estimate the rate that the quota sustains."""
        since = self._closed_at if still_closed else self._reopened_at
        if self._refused_at >= 1 or since is None:
            sustainable = self._refused / 2
        elif self._refused_at > 0:
            sustainable = max(self._refused / 2, _GROWTH * self._before)
        else:
            measured = self._accepted / max(now - since, _WAIT_MIN)
            # Below the rate limit this measures the demand, not the quota: hence the minimum.
            sustainable = max(_BELOW * measured, self._refused / (4 if still_closed else 2))
        sustainable = min(sustainable, _BELOW * self._refused)
        if response.policy is not None:
            sustainable = min(sustainable, _BELOW * response.policy.rate)
        return max(self._floor, sustainable)

    def _next_cool_down(self, response: RateLimitResponse, *, still_closed: bool) -> float:
        if still_closed:
            wait = 2 * self._cool_down
        else:
            wait = max(_COOL_DOWN_MIN, 1 / self._low)
            if response.policy is not None:
                window = response.policy.seconds
                wait = min(window, max(_COOL_DOWN_MIN, window / _WINDOW_SHARE))
        wait = min(_COOL_DOWN_MAX, wait)
        if response.retry_after is None:
            return wait
        # Still closed after the last Retry-After: it was too short, so double the wait as well.
        return max(wait, response.retry_after) if still_closed else response.retry_after

    def _close_until(self, at: float) -> None:
        if at <= self.resume_at:
            return
        self.resume_at = self._filled_at = at
        self._tokens = 1.0
        self._is_next_test = True

    def _fill(self, now: float) -> None:
        if now <= self._filled_at:
            return
        mean = (self.limit(self._filled_at) + self.limit(now)) / 2
        self._tokens = min(self._capacity(now), self._tokens + mean * (now - self._filled_at))
        self._filled_at = now

    def _capacity(self, now: float) -> float:
        return 1 + (self._burst - 1) * self._explored(now)

    def _explored(self, now: float) -> float:
        """Return how far the rate has risen from the plateau (0) to the ceiling (1)."""
        progress = (now - self.lowered_at - (RECOVERY - _EXPLORING)) / _EXPLORING
        return min(1.0, max(0.0, progress)) ** _STEEPNESS
