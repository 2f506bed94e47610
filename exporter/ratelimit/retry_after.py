"""Parse Retry-After and the quota from a 429 response."""

import re
from dataclasses import dataclass
from typing import Self

import httpx

from exporter.http.http_date import unix_time

RETRY_AFTER_MIN = 1.0
RETRY_AFTER_MAX = 240.0
"""Seconds. Longer waits are cut, so that a reopened quota is noticed within five minutes."""

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?\Z")
_POLICY = re.compile(
    r"limit:\s*([0-9]{1,9})\s*,\s*time:\s*([0-9]{1,9})\s*(second|minute|hour|day)", re.IGNORECASE
)
_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_READ_MAX = 4096


@dataclass(frozen=True, slots=True)
class Policy:
    """A quota stated by the gateway: ``requests`` per window of ``seconds``."""

    requests: int
    seconds: float

    @property
    def rate(self) -> float:
        """Return the allowed requests per second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class RateLimitResponse:
    """Rate-limit information of a 429 response; ``retry_after`` is in seconds, None if absent."""

    retry_after: float | None = None
    policy: Policy | None = None

    @classmethod
    def of(cls, response: httpx.Response, now: float) -> Self:
        """Parse a 429 response received at ``now``, Unix seconds.

        ``Retry-After`` may be seconds or an HTTP date (RFC 9110, 10.2.3) and is limited to 1..240
        s. A date is relative to the response's own ``Date``, so a wrong local clock has no effect.
        The policy is parsed from the body of the gateway's error APIGW.0308, for example
        ``policy user over ratelimit,limit:200,time:5 minute``.
        """
        return cls(_retry_after(response, now), _policy(response))


def _retry_after(response: httpx.Response, now: float) -> float | None:
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


def _policy(response: httpx.Response) -> Policy | None:
    match = _POLICY.search(response.content[:_READ_MAX].decode(errors="replace"))
    if match is None:
        return None
    requests, count = int(match[1]), int(match[2])
    if not requests or not count:
        return None
    return Policy(requests, count * _UNITS[match[3].lower()])
