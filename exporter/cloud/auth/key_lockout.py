"""Refused signatures of one key pair: the cloud takes few of them before it locks the key."""

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff

# More than five failed signatures lock a key for five minutes.
_MAX_REFUSALS = 3
_LOCK_FIRST, _LOCK_LAST = 60.0, 300.0


class KeyLockout:
    """Refused signatures of one key pair, shared by all projects that sign with it."""

    def __init__(self, clock: Clock) -> None:
        """Start with nothing refused."""
        self._backoff = Backoff(clock, first=_LOCK_FIRST, last=_LOCK_LAST)
        self._fingerprint = b""
        self._refusals = 0
        # The signature of the request that was let through to see whether the keys are taken now.
        self._trial = ""

    def on_trial(self, fingerprint: bytes) -> bool:
        """Return whether a request with these keys is let through as the only one for a while.

        Raises `LoginFailedError` while the API keeps refusing them, save for such a request.
        """
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self.accepted()
        if self._refusals < _MAX_REFUSALS:
            return False
        if self._backoff.seconds_left() > 0:
            raise self._backoff.error()
        self._backoff.hold()
        return True

    def try_with(self, signature: str) -> None:
        """Note the signature of the request that was let through on trial."""
        self._trial = signature

    def refused(self, signature: str) -> None:
        """Note that a signature with the present keys was refused."""
        if self._refusals < _MAX_REFUSALS:
            self._refusals += 1
            if self._refusals < _MAX_REFUSALS:
                return
        elif signature != self._trial:
            # Under way since before the keys were held back: says nothing new.
            return
        self._backoff.record_failure(
            f"the API refused {_MAX_REFUSALS} signatures in a row: check the keys, and that this "
            "machine's clock is right"
        )

    def accepted(self) -> None:
        """Note that a signature was not refused."""
        self._refusals = 0
        self._backoff.clear()
