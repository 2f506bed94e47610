"""Stop logging in with rejected credentials before IAM locks the account."""

import asyncio
from collections import deque
from dataclasses import dataclass

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff
from exporter.cloud.auth.key_lockout import KeyLockout
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import AkskAuth

# An account's policy locks it after 3 to 10 failed logins within 15 to 60 minutes, for 15 to 30
# minutes. So the second attempt comes when a lock has ended, and each later one after over an hour.
_SECOND, _LATER = 30.5 * 60.0, 61 * 60.0
# For secrets that keep changing: the usual policy is five failed logins within 15 minutes.
_WINDOW = 15 * 60.0
_MAX_REJECTIONS = 4
_SECRETS_MAX = 16
_KEYS_REJECTED = (
    "the API rejected several signatures in a row: check the keys, and that this machine's clock "
    "is right"
)


@dataclass(slots=True)
class _RejectedSecret:
    """A secret that IAM rejects; ``account`` is the first one that used it."""

    backoff: Backoff
    account: str
    is_first: bool = True


class Lockout:
    """Delays logins of one account after rejections, for all projects that use the account.

    A secret, given by its fingerprint, is tried at most twice an hour: the second time after 30
    minutes, or at once for another project, whose ``account`` text differs. A changed secret is
    tried at once, unless there were four rejections in 15 minutes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rejected: dict[bytes, _RejectedSecret] = {}
        self._rejected_at: deque[float] = deque(maxlen=_MAX_REJECTIONS)
        self._accepted: bytes | None = None
        self.one_attempt_at_a_time = asyncio.Lock()

    def record_failure(self, message: str, fingerprint: bytes, account: str) -> None:
        """Record that IAM rejected the secret of this fingerprint."""
        secret = self._rejected.pop(fingerprint, None)
        if secret is None:
            backoff = Backoff(self._clock, first=_SECOND, last=_LATER)
            secret = _RejectedSecret(backoff, account)
        else:
            secret.is_first = False
        secret.backoff.record_failure(message)
        # The newest is last.
        self._rejected[fingerprint] = secret
        if len(self._rejected) > _SECRETS_MAX:
            del self._rejected[next(iter(self._rejected))]
        self._rejected_at.append(self._clock.monotonic())
        self._accepted = None

    def record_success(self, fingerprint: bytes) -> None:
        """Record that IAM accepted the secret of this fingerprint."""
        self._rejected.pop(fingerprint, None)
        self._rejected_at.clear()
        self._accepted = fingerprint

    def was_accepted(self, fingerprint: bytes) -> bool:
        """Return whether IAM accepted this secret in the last login."""
        return self._accepted == fingerprint

    def blocked(self, fingerprint: bytes, account: str) -> LoginFailedError | None:
        """Return the error to raise while a secret must not be tried; None if it may be."""
        left = 0.0
        secret = self._rejected.get(fingerprint)
        if secret is not None and not (secret.is_first and secret.account != account):
            left = secret.backoff.seconds_left()
        if len(self._rejected_at) == _MAX_REJECTIONS:
            left = max(left, self._rejected_at[0] + _WINDOW - self._clock.monotonic())
        if left <= 0:
            return None
        if secret is not None:
            return secret.backoff.error_until(left, " or when the password changes")
        newest = next(reversed(self._rejected.values()))
        return newest.backoff.error_until(left)


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
        lockout = KeyLockout(self._clock, _KEYS_REJECTED)
        return self._key_lockouts.setdefault((endpoint, auth), lockout)
