"""Dates as HTTP headers have them."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def unix_time(text: str) -> float | None:
    """Read an HTTP date (RFC 9110, 5.6.7) as Unix seconds; None where it is none.

    UTC where it names no zone: what this machine's zone is, nobody out there knows.
    """
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
