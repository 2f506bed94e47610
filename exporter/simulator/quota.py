"""Counts requests against a quota, and says no the way the cloud does."""

import math
from email.utils import formatdate

from exporter.simulator.replies import Reply, refusal
from exporter.simulator.scenario import QuotaBody, QuotaKind, QuotaSpec, RetryAfter, Shape

_DAY = 86_400
_MINUTE = 60


class Quota:
    """One project's quota, used up and refilled."""

    def __init__(self, quota: QuotaSpec, now: float) -> None:
        """Begin with the whole quota; ``now`` is seconds since the simulator's start."""
        self._quota = quota
        self._left = float(quota.limit)
        self._counted_at = now

    def wait(self, now: float) -> float:
        """Count one request; return 0, or the seconds until one more would be let through."""
        quota = self._quota
        if not quota.active.holds(now):
            return 0.0
        if quota.kind is QuotaKind.TOKEN_BUCKET:
            gained = (now - self._counted_at) * quota.limit / quota.window
            self._left = min(quota.limit, self._left + gained)
            missing_time = (1 - self._left) * quota.window / quota.limit
        else:
            window = now // quota.window
            if window != self._counted_at // quota.window:
                self._left = quota.limit
            missing_time = (window + 1) * quota.window - now
        self._counted_at = now
        # Sums of small gains end a hair below the whole number that they stand for.
        if self._left < 1 - 1e-9:
            return missing_time
        self._left -= 1
        return 0.0

    def refuse(self, wait: float, unix_time: float, request_id: str) -> Reply:
        """Return the 429 of this quota; another request would pass in ``wait`` seconds."""
        reply = self._reply(request_id)
        seconds = math.ceil(wait)
        if self._quota.retry_after is RetryAfter.NONE:
            return reply
        if self._quota.retry_after is RetryAfter.SECONDS:
            when = str(seconds)
        else:
            when = formatdate(math.ceil(unix_time + wait), usegmt=True)
        return Reply(reply.status, reply.body, reply.content_type, {"Retry-After": when})

    def _reply(self, request_id: str) -> Reply:
        if self._quota.body is QuotaBody.EMPTY:
            return refusal(429, request_id, shape=Shape.EMPTY)
        if self._quota.body is QuotaBody.TEXT:
            return Reply(429, b"Too Many Requests\n", "text/plain;charset=UTF-8")
        if self._quota.body is QuotaBody.IMETAL:
            return refusal(429, request_id, code="iMetal.0005")
        message = (
            "The throttling threshold has been reached: policy user over ratelimit,"
            f"limit:{self._quota.limit},time:{_in_units(self._quota.window)}"
        )
        return refusal(429, request_id, message=message)


def _in_units(seconds: int) -> str:
    for size, unit in ((_DAY, "day"), (_MINUTE, "minute")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} second"
