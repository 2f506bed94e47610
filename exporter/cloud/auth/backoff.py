"""When to try again after a failure: neither hammer the cloud nor lock the account.

Setback      failures in a row, with a wait that doubles
└── Lockout  refusals of an account's credentials, of which IAM takes few
"""

from datetime import UTC, datetime

from exporter.clock import Clock
from exporter.cloud.errors import LoginFailedError


class Backoff:
    """Failures in a row of one kind: what, since when, and when to try again.

    ``first`` and ``last`` are the shortest and the longest wait in seconds.
    """

    def __init__(self, clock: Clock, *, first: float, last: float) -> None:
        """Start with nothing gone wrong."""
        self._clock = clock
        self._first = first
        self._last = last
        self._fingerprint = b""
        self._what = ""
        self._since = 0.0
        self._wait = 0.0
        self._until = 0.0

    def record_failure(self, what: str, fingerprint: bytes = b"") -> None:
        """Note a failure with the secret of this fingerprint, and wait longer than before."""
        if not self._wait or fingerprint != self._fingerprint:
            self._since = self._clock.time()
            self._wait = 0.0
        self._what = what
        self._fingerprint = fingerprint
        self._wait = min(self._wait * 2 or self._first, self._last)
        self._until = self._clock.monotonic() + self._wait

    def hold(self) -> None:
        """Let one attempt go, and the next no sooner than after the same wait again."""
        self._until = self._clock.monotonic() + self._wait

    def clear(self) -> None:
        """Note a success."""
        self._wait = 0.0
        self._until = 0.0

    def seconds_left(self, fingerprint: bytes = b"") -> float:
        """Return the seconds until the next attempt; 0 for now, as when the secret has changed."""
        if fingerprint != self._fingerprint:
            return 0.0
        return max(0.0, self._until - self._clock.monotonic())

    def error(self, fingerprint: bytes = b"") -> LoginFailedError:
        """Return what to tell those who must wait."""
        next_attempt = self._clock.time() + self.seconds_left(fingerprint)
        return LoginFailedError(
            f"{self._what}; since {_utc(self._since)}, next attempt at {_utc(next_attempt)}"
        )


def _utc(unix_time: float) -> str:
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
