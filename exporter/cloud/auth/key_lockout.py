"""Stop sending a credential that the API rejects, and test it from time to time."""

import httpx

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff
from exporter.cloud.auth.login import server_id
from exporter.cloud.auth.refusals import Refusals
from exporter.cloud.auth.retry_turns import RetryTurns

# The cloud locks a key for five minutes after more than five failed signatures. Keys that were
# accepted before are more likely to meet some servers that answer 401 by themselves.
_MAX_REJECTIONS, _MAX_REJECTIONS_PROVEN = 3, 5
_WAIT_FIRST, _WAIT_LAST = 60.0, 300.0


class KeyLockout:
    """Judges a configured key pair or token, for all projects that use it.

    After three rejections in a row, five if the API has accepted the credential before, only one
    test request is allowed every 1 to 5 minutes, until the API accepts one or the credential
    changes. Rejections by single servers while the API
    accepts the credential for others are ignored, as in `Refusals`. ``problem`` says what is
    rejected and what to check.
    """

    def __init__(self, clock: Clock, problem: str) -> None:
        self._problem = problem
        self._fingerprint = b""
        self._backoff = Backoff(clock, first=_WAIT_FIRST, last=_WAIT_LAST)
        self._turns = RetryTurns()
        self._refusals = Refusals(
            clock, unproven_limit=_MAX_REJECTIONS, proven_limit=_MAX_REJECTIONS_PROVEN
        )
        self._is_locked_out = False

    def authorize(self, request: httpx.Request, fingerprint: bytes) -> None:
        """Record that a request will carry the credential of this fingerprint.

        Raises `LoginFailedError` while the credential is locked out and no test request is due.
        """
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self._refusals.issued()
            self._unlock()
        request.extensions["credential"] = fingerprint
        request.extensions["is_test"] = self._is_locked_out
        if not self._is_locked_out:
            return
        if self._backoff.seconds_left() > 0 or not self._turns.is_due(server_id(request)):
            raise self._backoff.error()
        self._backoff.allow_one()

    def rejected(self, request: httpx.Request, seconds: float) -> bool:
        """Record a 401 to a request sent ``seconds`` ago.

        Return whether it counts as a failure of the credential.
        """
        if request.extensions.get("credential") != self._fingerprint:
            return False
        server = server_id(request)
        if self._is_locked_out:
            # A request from before the lockout is not counted again.
            if request.extensions["is_test"]:
                self._turns.refused(server)
                self._backoff.record_failure(self._problem)
            return True
        was_proven = self._refusals.is_proven
        self._turns.refused(server)
        if self._refusals.refused(server, seconds):
            self._is_locked_out = True
            self._backoff.record_failure(self._problem)
        return self._is_locked_out or not was_proven

    def accepted(self, request: httpx.Request) -> None:
        """Record that the API accepted the credential of a request."""
        if request.extensions.get("credential") == self._fingerprint:
            self._refusals.accepted(server_id(request))
            self._unlock()

    def _unlock(self) -> None:
        self._is_locked_out = False
        self._backoff.clear()
        self._turns.clear()
