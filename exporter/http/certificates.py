"""Read the expiry of a server's certificate chain."""

import ssl
from collections.abc import Sequence

Chain = Sequence[Sequence[tuple[str, str]]]
"""A chain as libcurl gives it, the server's own certificate first: names and values."""


def earliest_expiry(chain: Chain) -> float | None:
    """Return when (Unix seconds) the first certificate of the chain expires.

    A server may send certificates that are no part of the chain; those do not count. None where
    no date can be read.
    """
    by_subject: dict[str, dict[str, str]] = {}
    for one in chain:
        fields = dict(one)
        by_subject.setdefault(fields.get("Subject", ""), fields)
    ends: list[float] = []
    current = dict(chain[0]) if chain else None
    while current is not None:
        end = _unix_time(current.get("Expire date", ""))
        if end is not None:
            ends.append(end)
        by_subject.pop(current.get("Subject", ""), None)
        current = by_subject.get(current.get("Issuer", ""))
    return min(ends, default=None)


def _unix_time(text: str) -> float | None:
    try:
        return float(ssl.cert_time_to_seconds(text))
    except ValueError:
        return None
