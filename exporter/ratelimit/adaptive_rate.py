"""How fast to ask: the throttle's control law, without I/O and without a clock of its own.

A token bucket whose rate adapts to a quota that nobody tells us:

    ceiling ---+                                              +-----------
               | 429                                          |
               |                                             /
    plateau    |        +-----------------------__________---
    half       +--------+   just below the quota   exploring
               cool-down
               0                                 170 s       290 s

- A 429 halves the pace and opens a cool-down; then one request goes ahead alone, to see whether
  the quota is open again. Requests that were under way when the pace was halved do not halve it
  again: they could not know.
- The plateau is reached four seconds after the quota reopens. It is what the quota should bear:
    - refused while on the plateau: 5 % below what was let through since the quota reopened, over
      that time. When even the request that goes ahead is refused, the quota is a window that is
      used up: then over the whole time between the refusals, closed time included;
    - refused while exploring: half the refused pace, and at least a fifth above the last plateau.
      There is more to be had; what was let through measures the plateau, not the quota;
    - refused at the ceiling: half of it. Nothing is known yet;
  and always 5 % below the refused pace and below the policy that the 429 states, if any.
- Exploring starts late and steepens, in the manner of CUBIC (RFC 9438), so that a steady quota
  refuses one or two requests a cycle; yet 290 s after the last refusal the pace is at the ceiling.
- Bursts come back as the pace nears the ceiling: a burst against an exhausted quota is a burst of
  429s.

All times are seconds of one monotonic clock, all rates requests a second.
"""

from exporter.ratelimit.retry_after import RateLimitResponse
from exporter.ratelimit.snapshot import RateSnapshot

RECOVERY = 290.0
"""Seconds from the last refusal until the pace is back at its ceiling."""

_EXPLORING = 120.0
_STEEPNESS = 5
_APPROACH = 4.0
_BELOW = 0.95
_GROWTH = 1.2
# One request a minute: slower, and the end of a quota would be noticed too late.
_FLOOR = 1 / 60

_COOL_DOWN_MIN = 2.0
_COOL_DOWN_MAX = 60.0
# A long policy window says little of when it opens again: try early, then double.
_WINDOW_SHARE = 20
# How long the request that goes ahead is waited for; its own deadline may be far longer.
_AHEAD_PATIENCE = 2.0

_ENOUGH = 1 - 1e-9
_WAIT_MIN = 1e-3
_NEVER = float("-inf")


class AdaptiveRate:
    """Says when the next request may go, and learns from what became of those that went."""

    def __init__(self, ceiling: float, burst: int, now: float) -> None:
        """Start at ``ceiling`` requests a second with a whole ``burst`` to spend."""
        self.ceiling = ceiling
        self._burst = burst
        self._floor = min(_FLOOR, ceiling)
        self._tokens = float(burst)
        self._filled_at = now

        self.lowered_at = _NEVER
        self.resume_at = _NEVER
        self._cool_down = 0.0
        self._is_next_ahead = False
        self._held_until = _NEVER
        self._reopened_at: float | None = None

        self._low = self._plateau = self._before = self._refused = ceiling
        self._refused_at = 1.0
        self._closed_at: float | None = None
        self._let_through = 0

    def snapshot(self) -> RateSnapshot | None:
        """Return what is worth knowing after a restart; None before the first refusal."""
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
        """Begin with what was learned before a restart, on the safe side of it.

        A cool-down goes on; whether the quota is open is found out anew, by one request that goes
        ahead; and no rate is above a ceiling that was lowered meanwhile.
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
        """Return the pace now."""
        explored = self._explored(now)
        if explored >= 1:
            return self.ceiling
        base = self._low
        if self._reopened_at is not None:
            near = min(1.0, max(0.0, (now - self._reopened_at) / _APPROACH))
            base += (self._plateau - self._low) * near
        return base + (self.ceiling - base) * explored

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may go, 0 when it may go now.

        While the pace rises this is the least it can be: ask again then.
        """
        held = max(self.resume_at, self._held_until) - now
        if held > 0:
            return held
        self._fill(now)
        if self._tokens >= _ENOUGH:
            return 0.0
        missing = 1 - self._tokens
        at_most = missing / self.limit(now)
        return max(_WAIT_MIN, missing / self.limit(now + at_most))

    def take(self, now: float) -> None:
        """Let one request go; only right when `wait` returned 0."""
        self._fill(now)
        self._tokens = max(0.0, self._tokens - 1)
        if self._is_next_ahead:
            self._is_next_ahead = False
            self._held_until = now + _AHEAD_PATIENCE

    def give_back(self, now: float) -> None:
        """Take back a request that was let go and never went."""
        self._fill(now)
        self._tokens = min(self._capacity(now), self._tokens + 1)
        self._is_next_ahead |= now < self._held_until
        self._held_until = _NEVER

    def let_through(self, granted_at: float, now: float) -> None:
        """Learn that a request let go at ``granted_at`` was not refused."""
        if granted_at <= self.lowered_at:
            return
        self._held_until = _NEVER
        self._let_through += 1
        if self._reopened_at is None and self.lowered_at > _NEVER:
            self._reopened_at = now
            self._closed_at = self.lowered_at
            self._let_through = 1

    def unanswered(self, granted_at: float) -> None:
        """Learn that nothing is known of a request let go at ``granted_at``."""
        if granted_at > self.lowered_at:
            self._held_until = _NEVER

    def refused(self, granted_at: float, now: float, refusal: RateLimitResponse) -> None:
        """Learn that a request let go at ``granted_at`` was answered 429."""
        if granted_at <= self.lowered_at:
            if refusal.retry_after is not None:
                self._close_until(now + refusal.retry_after)
            return
        limit = self.limit(now)
        explored = self._explored(now)
        again = self._reopened_at is None and explored < 1
        if not again:
            self._refused, self._refused_at, self._before = limit, explored, self._plateau
        self._plateau = self._bearable(now, refusal, again=again)
        self._low = max(self._floor, min(limit / 2, self._plateau))
        self._cool_down = self._next_cool_down(refusal, again=again)
        self.lowered_at = now
        self._held_until = _NEVER
        self._reopened_at = None
        self._close_until(now + self._cool_down)

    def _bearable(self, now: float, refusal: RateLimitResponse, *, again: bool) -> float:
        """Return a pace that the quota should bear, as far as is known."""
        since = self._closed_at if again else self._reopened_at
        if self._refused_at >= 1 or since is None:
            bearable = self._refused / 2
        elif self._refused_at > 0:
            bearable = max(self._refused / 2, _GROWTH * self._before)
        else:
            measured = self._let_through / max(now - since, _WAIT_MIN)
            # Who asks for less than the pace measures the demand, not the quota.
            bearable = max(_BELOW * measured, self._refused / (4 if again else 2))
        bearable = min(bearable, _BELOW * self._refused)
        if refusal.policy is not None:
            bearable = min(bearable, _BELOW * refusal.policy.rate)
        return max(self._floor, bearable)

    def _next_cool_down(self, refusal: RateLimitResponse, *, again: bool) -> float:
        if again:
            wait = 2 * self._cool_down
        else:
            wait = max(_COOL_DOWN_MIN, 1 / self._low)
            if refusal.policy is not None:
                window = refusal.policy.seconds
                wait = min(window, max(_COOL_DOWN_MIN, window / _WINDOW_SHARE))
        wait = min(_COOL_DOWN_MAX, wait)
        if refusal.retry_after is None:
            return wait
        # A Retry-After that proved too short is not believed a second time.
        return max(wait, refusal.retry_after) if again else refusal.retry_after

    def _close_until(self, at: float) -> None:
        if at <= self.resume_at:
            return
        self.resume_at = self._filled_at = at
        self._tokens = 1.0
        self._is_next_ahead = True

    def _fill(self, now: float) -> None:
        if now <= self._filled_at:
            return
        mean = (self.limit(self._filled_at) + self.limit(now)) / 2
        self._tokens = min(self._capacity(now), self._tokens + mean * (now - self._filled_at))
        self._filled_at = now

    def _capacity(self, now: float) -> float:
        return 1 + (self._burst - 1) * self._explored(now)

    def _explored(self, now: float) -> float:
        """Return how far the pace has risen from the plateau (0) to the ceiling (1)."""
        part = (now - self.lowered_at - (RECOVERY - _EXPLORING)) / _EXPLORING
        return min(1.0, max(0.0, part)) ** _STEEPNESS
