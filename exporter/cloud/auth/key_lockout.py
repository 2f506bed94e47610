"""Stop signing with a rejected key pair before the cloud locks the key."""

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff

# The cloud locks a key for five minutes after more than five failed signatures.
_MAX_REJECTIONS = 3
_WAIT_FIRST, _WAIT_LAST = 60.0, 300.0


class KeyLockout:
    """Counts rejected signatures of one key pair, for all projects that sign with it.

    After three consecutive rejections, only one test request is allowed every 1 to 5
    minutes.
    """

    def __init__(self, clock: Clock) -> None:
        self._backoff = Backoff(clock, first=_WAIT_FIRST, last=_WAIT_LAST)
        self._fingerprint = b""
        self._rejections = 0
        # Signature of the last test request.
        self._test_signature = ""

    def check(self, fingerprint: bytes) -> bool:
        """Return whether a request with these keys is a test request.

        Raises `LoginFailedError` while the keys are locked out and no test request is due.
        """
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self.accepted()
        if self._rejections < _MAX_REJECTIONS:
            return False
        if self._backoff.seconds_left() > 0:
            raise self._backoff.error()
        self._backoff.allow_one()
        return True

    def test_sent(self, signature: str) -> None:
        """Record the signature of the test request."""
        self._test_signature = signature

    def rejected(self, signature: str) -> None:
        """Record that the API rejected a signature made with the current keys."""
        if self._rejections < _MAX_REJECTIONS:
            self._rejections += 1
            if self._rejections < _MAX_REJECTIONS:
                return
        elif signature != self._test_signature:
            # The request was sent before the lockout: so its rejection is not counted again.
            return
        self._backoff.record_failure(
            f"the API rejected {_MAX_REJECTIONS} signatures in a row: check the keys, and that "
            "this machine's clock is right"
        )

    def accepted(self) -> None:
        """Record that the API accepted a signature."""
        self._rejections = 0
        self._backoff.clear()
