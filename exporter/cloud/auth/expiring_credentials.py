"""Compute the lifetime of credentials by the cloud's clock, not the local clock."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

import httpx

from exporter.cloud.errors import LoginFailedError
from exporter.http.http_date import unix_time

T = TypeVar("T")

# A Date header has no fractions: the cloud's clock may be up to one second later.
_DATE_RESOLUTION = 1.0


@dataclass(frozen=True, slots=True)
class ExpiringCredentials(Generic[T]):
    """Credentials with an expiry time.

    ``expires_at`` is Unix time by the cloud's clock; ``lifetime`` is the seconds from the response
    until then.
    """

    value: T = field(repr=False)
    expires_at: float
    lifetime: float


def expiring_credentials(
    value: T, expires_at: object, response: httpx.Response, now: float
) -> ExpiringCredentials[T]:
    """Return ``value`` with its lifetime, from the response that contained it.

    The lifetime is relative to the response's ``Date``, so a wrong local clock neither keeps
    expired credentials nor renews valid ones. Without a ``Date`` it is relative to ``now``, local
    Unix time. Raises `LoginFailedError` if the expiry time is missing, invalid or not in the
    future.
    """
    end = _unix_time(expires_at)
    if end is None:
        raise LoginFailedError(
            "the response has no valid expires_at for the credentials: check that iam_endpoint or "
            "metadata_endpoint is the right service"
        )
    date = unix_time(response.headers.get("date", ""))
    # Without this margin, credentials that expire on arrival would be renewed for every request.
    margin = response.extensions.get("seconds", 0.0) + (0.0 if date is None else _DATE_RESOLUTION)
    lifetime = end - (now if date is None else date) - margin
    if lifetime <= 0:
        cause = (
            "this machine's clock: check the clock"
            if date is None
            else "the response's own Date: tell the cloud's support"
        )
        raise LoginFailedError(f"the credentials in the response have already expired by {cause}")
    return ExpiringCredentials(value, end, lifetime)


def _unix_time(text: object) -> float | None:
    """Parse an ISO 8601 time; without a time zone it is UTC, as in Keystone and IAM."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
