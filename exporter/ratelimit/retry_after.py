"""What a 429 says about when, and how fast, to ask again."""

import re
from dataclasses import dataclass
from typing import Self

from exporter.http.http_date import unix_time
from exporter.http.response import Response

RETRY_AFTER_MIN = 1.0
RETRY_AFTER_MAX = 240.0
"""Seconds; longer waits are cut, so that the end of a quota is noticed within five minutes."""

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?\Z")
_POLICY = re.compile(
    r"limit:\s*([0-9]{1,9})\s*,\s*time:\s*([0-9]{1,9})\s*(second|minute|hour|day)", re.IGNORECASE
)
_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_READ_MAX = 4096


@dataclass(frozen=True, slots=True)
class Policy:
    """A quota as the gateway states it: so many requests in so many seconds."""

    requests: int
    seconds: float

    @property
    def rate(self) -> float:
        """Return the requests a second that the policy allows."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class RateLimitResponse:
    """What a 429 says; None where it says nothing usable. ``retry_after`` is in seconds."""

    retry_after: float | None = None
    policy: Policy | None = None

    @classmethod
    def of(cls, response: Response, now: float) -> Self:
        """Read an answer 429 received at ``now``, Unix seconds.

        ``Retry-After`` may be seconds or an HTTP date (RFC 9110, 10.2.3), bounded to 1..240 s; a
        date is taken relative to the answer's own ``Date``, so that a wrong clock does no harm.
        The policy is looked for in the body's text, as the gateway's APIGW.0308 words it:
        ``policy user over ratelimit,limit:200,time:5 minute``.
        """
        return cls(_retry_after(response, now), _policy(response))


def _retry_after(response: Response, now: float) -> float | None:
    text = response.headers.get("retry-after", "").strip()
    if _SECONDS.match(text):
        seconds = float(text)
    else:
        at = unix_time(text)
        if at is None:
            return None
        sent_at = unix_time(response.headers.get("date", ""))
        seconds = at - (now if sent_at is None else sent_at)
    return min(RETRY_AFTER_MAX, max(RETRY_AFTER_MIN, seconds))


def _policy(response: Response) -> Policy | None:
    found = _POLICY.search(response.body[:_READ_MAX].decode(errors="replace"))
    if found is None:
        return None
    requests, count = int(found[1]), int(found[2])
    if not requests or not count:
        return None
    return Policy(requests, count * _UNITS[found[3].lower()])
