"""Read the expiry of a server's certificate chain."""

import ssl
from collections.abc import Sequence

Chain = Sequence[Sequence[tuple[bytes, bytes]]]
"""A chain as libcurl gives it, the server's own certificate first: names and values."""


def earliest_expiry(chain: Chain) -> float | None:
    """Return when (Unix seconds) the first certificate of the chain expires.

    A server may send certificates that are no part of the chain; those do not count. None where
    no date can be read.
    """
    by_subject: dict[bytes, dict[bytes, bytes]] = {}
    for one in chain:
        fields = dict(one)
        by_subject.setdefault(fields.get(b"Subject", b""), fields)
    ends: list[float] = []
    current = dict(chain[0]) if chain else None
    while current is not None:
        end = _unix_time(current.get(b"Expire date", b""))
        if end is not None:
            ends.append(end)
        by_subject.pop(current.get(b"Subject", b""), None)
        current = by_subject.get(current.get(b"Issuer", b""))
    return min(ends, default=None)


def _unix_time(text: bytes) -> float | None:
    try:
        return float(ssl.cert_time_to_seconds(text.decode("ascii")))
    except ValueError:
        return None
