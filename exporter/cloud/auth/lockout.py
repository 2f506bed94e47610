"""Stop logging in with rejected credentials before IAM locks the account."""

import asyncio
from collections import deque

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff
from exporter.cloud.auth.key_lockout import KeyLockout
from exporter.config.config import AkskAuth

# IAM locks an account for 15 minutes after five failed logins within 15 minutes.
_WINDOW = 15 * 60.0
_MAX_REJECTIONS = 4

REJECTED_FIRST, REJECTED_LAST = 120.0, 300.0
"""Shortest and longest wait in seconds: at most four attempts within any 15 minutes."""


class Lockout(Backoff):
    """Delays logins of one account after rejections, for all projects that use the account."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, first=REJECTED_FIRST, last=REJECTED_LAST)
        self._rejected_at: deque[float] = deque(maxlen=_MAX_REJECTIONS)
        self._accepted: bytes | None = None
        self.one_attempt_at_a_time = asyncio.Lock()

    def record_failure(self, message: str, fingerprint: bytes = b"") -> None:
        """Record that IAM rejected the secret of this fingerprint."""
        super().record_failure(message, fingerprint)
        self._rejected_at.append(self._clock.monotonic())
        self._accepted = None

    def record_success(self, fingerprint: bytes) -> None:
        """Record that IAM accepted the secret of this fingerprint."""
        self.clear()
        self._rejected_at.clear()
        self._accepted = fingerprint

    def was_accepted(self, fingerprint: bytes) -> bool:
        """Return whether IAM accepted this secret in the last login."""
        return self._accepted == fingerprint

    def seconds_left(self, fingerprint: bytes = b"") -> float:
        """Return the seconds until the next attempt.

        A changed secret may be tried at once, unless there were four rejections in 15 minutes.
        """
        left = super().seconds_left(fingerprint)
        if len(self._rejected_at) < _MAX_REJECTIONS:
            return left
        return max(left, self._rejected_at[0] + _WINDOW - self._clock.monotonic())


class Lockouts:
    """The lockouts of all accounts and key pairs.

    Projects with the same account or key share a lockout: each alone would stay below the cloud's
    limit, but together they would exceed it. Lockouts survive a configuration reload.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lockouts: dict[tuple[str, str, str], Lockout] = {}
        self._key_lockouts: dict[tuple[str, AkskAuth], KeyLockout] = {}

    def for_account(self, iam_endpoint: str, domain: str, username: str) -> Lockout:
        """Return the lockout of one account."""
        key = (iam_endpoint, domain, username)
        return self._lockouts.setdefault(key, Lockout(self._clock))

    def for_keys(self, endpoint: str, auth: AkskAuth) -> KeyLockout:
        """Return the lockout of one key pair at one API endpoint."""
        return self._key_lockouts.setdefault((endpoint, auth), KeyLockout(self._clock))
