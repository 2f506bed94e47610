"""Count requests against a quota and build the 429 response of the cloud."""

import math
from email.utils import formatdate

from exporter.simulator.replies import Reply, error_reply
from exporter.simulator.scenario import QuotaBody, QuotaKind, QuotaSpec, RetryAfter, Shape

_DAY = 86_400
_MINUTE = 60


class Quota:
    """The quota of one project; times are seconds since the simulator's start."""

    def __init__(self, spec: QuotaSpec, now: float) -> None:
        self._spec = spec
        self._left = float(spec.limit)
        self._counted_at = now

    def wait(self, now: float) -> float:
        """Count a request; return 0 if it is allowed, else the seconds until one is."""
        spec = self._spec
        if not spec.active_at(now):
            return 0.0
        if spec.kind is QuotaKind.TOKEN_BUCKET:
            refilled = (now - self._counted_at) * spec.limit / spec.window
            self._left = min(spec.limit, self._left + refilled)
            seconds_left = (1 - self._left) * spec.window / spec.limit
        else:
            window = now // spec.window
            if window != self._counted_at // spec.window:
                self._left = spec.limit
            seconds_left = (window + 1) * spec.window - now
        self._counted_at = now
        # The sum of many small refills may end slightly below the exact integer.
        if self._left < 1 - 1e-9:
            return seconds_left
        self._left -= 1
        return 0.0

    def too_many_requests(self, wait: float, unix_time: float, request_id: str) -> Reply:
        """Return the 429 response of this quota; a request is allowed in ``wait`` seconds."""
        reply = self._reply(request_id)
        seconds = math.ceil(wait)
        if self._spec.retry_after is RetryAfter.NONE:
            return reply
        if self._spec.retry_after is RetryAfter.SECONDS:
            retry_after = str(seconds)
        else:
            retry_after = formatdate(math.ceil(unix_time + wait), usegmt=True)
        return Reply(reply.status, reply.body, reply.content_type, {"Retry-After": retry_after})

    def _reply(self, request_id: str) -> Reply:
        if self._spec.body is QuotaBody.EMPTY:
            return error_reply(429, request_id, shape=Shape.EMPTY)
        if self._spec.body is QuotaBody.TEXT:
            return Reply(429, b"Too Many Requests\n", "text/plain;charset=UTF-8")
        if self._spec.body is QuotaBody.IMETAL:
            return error_reply(429, request_id, code="iMetal.0005")
        message = (
            "The throttling threshold has been reached: policy user over ratelimit,"
            f"limit:{self._spec.limit},time:{_in_units(self._spec.window)}"
        )
        return error_reply(429, request_id, message=message)


def _in_units(seconds: int) -> str:
    for size, unit in ((_DAY, "day"), (_MINUTE, "minute")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} second"
