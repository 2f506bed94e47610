"""Delay retries after consecutive failures, doubling the wait each time."""

from datetime import UTC, datetime

from exporter.clock import Clock
from exporter.cloud.errors import LoginFailedError


class Backoff:
    """Consecutive failures of one kind: the last message, the first time and the next attempt.

    ``first`` and ``last`` are the shortest and the longest wait in seconds.
    """

    def __init__(self, clock: Clock, *, first: float, last: float) -> None:
        self._clock = clock
        self._first = first
        self._last = last
        self._fingerprint = b""
        self._message = ""
        self._since = 0.0
        self._wait = 0.0
        self._until = 0.0

    def record_failure(self, message: str, fingerprint: bytes = b"") -> None:
        """Record a failure with the secret of this fingerprint, and double the wait.

        A failure with another secret starts again with the shortest wait.
        """
        if not self._wait or fingerprint != self._fingerprint:
            self._since = self._clock.time()
            self._wait = 0.0
        self._message = message
        self._fingerprint = fingerprint
        self._wait = min(self._wait * 2 or self._first, self._last)
        self._until = self._clock.monotonic() + self._wait

    @property
    def is_failing(self) -> bool:
        """Return whether there was a failure and no success since."""
        return self._wait > 0

    def allow_one(self) -> None:
        """Allow one attempt now, and delay the next by the same wait again."""
        self._until = self._clock.monotonic() + self._wait

    def clear(self) -> None:
        """Forget all failures after a success."""
        self._wait = 0.0
        self._until = 0.0

    def seconds_left(self, fingerprint: bytes = b"") -> float:
        """Return the seconds until the next attempt; 0 if it is due or the secret has changed."""
        if fingerprint != self._fingerprint:
            return 0.0
        return max(0.0, self._until - self._clock.monotonic())

    def error(self, fingerprint: bytes = b"") -> LoginFailedError:
        """Return the error to raise while waiting, with the message and both times."""
        return self.error_until(self.seconds_left(fingerprint))

    def error_until(self, seconds_left: float, alternative: str = "") -> LoginFailedError:
        """Return the error to raise while waiting for ``seconds_left`` or an ``alternative``."""
        next_attempt = self._clock.time() + seconds_left
        return LoginFailedError(
            f"{self._message}; failing since {_utc(self._since)}, "
            f"next attempt at {_utc(next_attempt)}{alternative}"
        )


def _utc(unix_time: float) -> str:
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
