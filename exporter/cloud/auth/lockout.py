"""Refusals of an account's credentials: IAM takes few of them before it locks the account."""

import asyncio
from collections import deque

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff
from exporter.cloud.auth.key_lockout import KeyLockout
from exporter.config.config import AkskAuth

# IAM locks an account for 15 minutes after five failed log-ins within as long.
_WINDOW = 15 * 60.0
_MAX_REFUSALS = 4

REFUSED_FIRST, REFUSED_LAST = 120.0, 300.0
"""The shortest and the longest wait in seconds: no 15 minutes hold more than four attempts."""


class Lockout(Backoff):
    """Refusals of one account's credentials, shared by all logins that use the account."""

    def __init__(self, clock: Clock) -> None:
        """Start with nothing refused."""
        super().__init__(clock, first=REFUSED_FIRST, last=REFUSED_LAST)
        self._refused_at: deque[float] = deque(maxlen=_MAX_REFUSALS)
        self._trusted: bytes | None = None
        self.one_at_a_time = asyncio.Lock()

    def record_failure(self, what: str, fingerprint: bytes = b"") -> None:
        """Note a refusal."""
        super().record_failure(what, fingerprint)
        self._refused_at.append(self._clock.monotonic())
        self._trusted = None

    def trust(self, fingerprint: bytes) -> None:
        """Note that the secret of this fingerprint was taken."""
        self.clear()
        self._refused_at.clear()
        self._trusted = fingerprint

    def trusts(self, fingerprint: bytes) -> bool:
        """Return whether this secret was taken last time."""
        return self._trusted == fingerprint

    def seconds_left(self, fingerprint: bytes = b"") -> float:
        """Return the seconds until the next attempt, which a changed secret shortens.

        Not below what keeps the account open, though: four refusals in 15 minutes.
        """
        left = super().seconds_left(fingerprint)
        if len(self._refused_at) < _MAX_REFUSALS:
            return left
        return max(left, self._refused_at[0] + _WINDOW - self._clock.monotonic())


class Lockouts:
    """The lock-outs of all accounts and keys.

    Projects that log in with one account, or sign with one key, share what was refused: each alone
    would stay below what the cloud takes, together they would lock it. It outlives a reload for the
    same reason.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with nothing refused."""
        self._clock = clock
        self._of: dict[tuple[str, str, str], Lockout] = {}
        self._of_keys: dict[tuple[str, AkskAuth], KeyLockout] = {}

    def of(self, iam_endpoint: str, domain: str, username: str) -> Lockout:
        """Return the lock-out of one account."""
        key = (iam_endpoint, domain, username)
        return self._of.setdefault(key, Lockout(self._clock))

    def of_keys(self, endpoint: str, auth: AkskAuth) -> KeyLockout:
        """Return the lock-out of one key pair, at one API."""
        return self._of_keys.setdefault((endpoint, auth), KeyLockout(self._clock))
