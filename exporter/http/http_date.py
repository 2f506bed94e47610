"""Parse the dates in HTTP headers."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def unix_time(text: str) -> float | None:
    """Parse an HTTP date (RFC 9110, 5.6.7) into Unix seconds; None when it is invalid.

    A date without a time zone is in UTC, not in this machine's zone.
    """
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
