"""How long credentials live, told by the cloud's clock and not by ours."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from exporter.cloud.errors import LoginFailedError
from exporter.http.http_date import unix_time
from exporter.http.response import Response

T = TypeVar("T")

# A Date header is cut to the second, so the cloud's clock may be up to this much further.
_DATE_RESOLUTION = 1.0


@dataclass(frozen=True, slots=True)
class ExpiringCredentials(Generic[T]):
    """Credentials with an end.

    ``expires_at`` is Unix time by the cloud's clock; ``lifetime`` is the seconds that they are
    good for from now on.
    """

    value: T = field(repr=False)
    expires_at: float
    lifetime: float


def expiring_credentials(
    value: T, expires_at: object, response: Response, now: float
) -> ExpiringCredentials[T]:
    """Return ``value`` with its end, as the answer that brought it tells.

    The lifetime is taken against the answer's ``Date``, so that a wrong clock here neither sends
    dead credentials nor renews good ones; without one against ``now``, our own Unix time. Raises
    `LoginFailedError` for an end that is missing, unreadable, past or now.
    """
    end = _unix_time(expires_at)
    if end is None:
        raise LoginFailedError("the answer does not say when the credentials expire")
    date = unix_time(response.headers.get("date", ""))
    # Credentials that end as they arrive would be had anew for every request.
    margin = response.seconds + (0.0 if date is None else _DATE_RESOLUTION)
    lifetime = end - (now if date is None else date) - margin
    if lifetime <= 0:
        clock = "this machine's clock, which may be wrong" if date is None else "the answer's date"
        raise LoginFailedError(f"the answer brings credentials that have expired by {clock}")
    return ExpiringCredentials(value, end, lifetime)


def _unix_time(text: object) -> float | None:
    """Read an ISO 8601 time; UTC where it names no zone, as Keystone and IAM mean it."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
