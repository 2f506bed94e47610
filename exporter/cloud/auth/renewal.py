"""Fetch expiring credentials when they are needed, and not again too soon after a failure.

They are fetched once for concurrent callers, refreshed before they expire, and refetched when they
are at fault for a rejection by the API.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import httpx

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff
from exporter.cloud.auth.credential_cache import CredentialCache
from exporter.cloud.auth.credential_source import (
    CredentialSource,
    CredentialsRejectedError,
    LoginRefusedError,
)
from exporter.cloud.auth.current_credentials import CurrentCredentials
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials
from exporter.cloud.auth.lockout import Lockout
from exporter.cloud.auth.login import LoginObserver
from exporter.cloud.auth.refusals import Refusals
from exporter.cloud.auth.retry_turns import RetryTurns
from exporter.cloud.errors import LoginFailedError

T = TypeVar("T")

_OUTAGE_FIRST, _OUTAGE_LAST = 2.0, 60.0
_REFUSED_FIRST, _REFUSED_LAST = 120.0, 300.0
# Rejections of credentials that replaced rejected ones until no more servers test them.
_TESTS_MAX = 10
_NEW_REJECTED = (
    "the API rejects new credentials too: check that endpoint and login are of the same region, "
    "and that the user is enabled"
)


class Renewal(Generic[T]):
    """Keeps one `ExpiringCredentials` valid; the first caller triggers the first fetch.

    All callers wait for the same attempt, which runs in its own task, so a cancelled caller does
    not cancel it. Credentials that expire soon are refreshed in the background while they are still
    used. ``cache`` keeps them across a restart.

    Credentials that are at fault for a rejection are discarded. Until the API accepts newer ones,
    requests only test those: about ten servers for each, which take turns.
    """

    def __init__(
        self,
        source: CredentialSource[T],
        *,
        lockout: Lockout,
        observer: LoginObserver,
        clock: Clock,
    ) -> None:
        self._source = source
        self._lockout = lockout
        self._observer = observer
        self._outage = Backoff(clock, first=_OUTAGE_FIRST, last=_OUTAGE_LAST)
        self._refused = Backoff(clock, first=_REFUSED_FIRST, last=_REFUSED_LAST)
        self._new_rejected = Backoff(clock, first=_REFUSED_FIRST, last=_REFUSED_LAST)
        self._current = CurrentCredentials[T](clock)
        self.cache = CredentialCache(source, self._current, clock)
        self._attempt: asyncio.Task[ExpiringCredentials[T] | LoginFailedError] | None = None
        self._refusals = Refusals(clock)
        self._turns = RetryTurns()
        # Whether credentials were at fault and the API has accepted none since.
        self._is_unproven = False

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials expire; None before the first login."""
        latest = self._current.latest
        return latest.expires_at if latest else None

    @property
    def valid(self) -> T | None:
        """Return the credentials if they are valid now."""
        current = self._current.valid
        return current.value if current else None

    async def current(self, server_id: str = "") -> T:
        """Return valid credentials for a request to a server, fetching them if necessary.

        Raises `LoginFailedError`.
        """
        current = self._current.valid
        if current is None:
            return (await self._wait_for_fetch(server_id)).value
        if self._refusals.count and not self._is_due(server_id):
            raise self._new_rejected.error(self._source.fingerprint())
        if self._current.refresh_due and not self._is_fetching() and self._blocked() is None:
            self._start_attempt()
        return current.value

    def is_current(self, was_sent: Callable[[T], bool]) -> bool:
        """Return whether the credentials that were sent are the current ones."""
        latest = self._current.latest
        return latest is not None and was_sent(latest.value)

    async def renew(
        self, was_sent: Callable[[T], bool], server_id: str = "", seconds: float = 0.0
    ) -> bool:
        """Fetch new credentials if they are at fault for a 401 to a request sent ``seconds`` ago.

        Return whether newer ones are available. ``was_sent`` returns whether given credentials are
        the rejected ones. If the API rejects new credentials too, the next fetch waits: the fault
        lies elsewhere. Raises `LoginFailedError` if the fetch fails.
        """
        if self._current.latest is not None and not self.is_current(was_sent):
            return True
        if self._current.valid is not None:
            if not self._are_at_fault(server_id, seconds):
                return False
            self._current.discard()
            self._is_unproven = True
        await self._wait_for_fetch(None)
        return True

    def accepted(self, was_sent: Callable[[T], bool], server_id: str = "") -> None:
        """Record that the API accepted credentials; ``was_sent`` is as for `renew`."""
        if self.is_current(was_sent):
            self._is_unproven = False
            self._refusals.accepted(server_id)
            self._new_rejected.clear()
            self._turns.clear()

    def _are_at_fault(self, server_id: str, seconds: float) -> bool:
        """Record a rejection; return whether to replace the credentials now."""
        self._turns.refused(server_id)
        at_fault = self._refusals.refused(server_id, seconds)
        if not self._is_unproven or not at_fault:
            return at_fault
        fingerprint = self._source.fingerprint()
        if self._refusals.count == 1:
            self._new_rejected.record_failure(_NEW_REJECTED, fingerprint)
            self._observer.login_failed()
            return False
        if not self._new_rejected.seconds_left(fingerprint):
            return True
        if self._refusals.count >= _TESTS_MAX:
            self._current.discard()
        return False

    def _is_due(self, server_id: str | None) -> bool:
        """Return whether a server may test new credentials now; None is a repeated request."""
        if server_id is None or not self._new_rejected.is_failing:
            return True
        return self._turns.is_due(server_id)

    async def _wait_for_fetch(self, server_id: str | None) -> ExpiringCredentials[T]:
        attempt = self._attempt
        if attempt is None or attempt.done():
            if not self.cache.unverified and (blocked := self._blocked()):
                try:
                    raise blocked
                finally:
                    # Its traceback refers to this frame: delete it to avoid a reference cycle.
                    del blocked
            if not self._is_due(server_id):
                raise self._new_rejected.error(self._source.fingerprint())
            attempt = self._start_attempt()
        await asyncio.wait([attempt])
        if attempt.cancelled():
            raise LoginFailedError("the login was cancelled; the next request logs in again")
        result = attempt.result()
        if isinstance(result, LoginFailedError):
            # A new exception for each caller: a shared one would collect all their tracebacks.
            raise LoginFailedError(str(result))
        return result

    def _is_fetching(self) -> bool:
        return self._attempt is not None and not self._attempt.done()

    def _start_attempt(self) -> asyncio.Task[ExpiringCredentials[T] | LoginFailedError]:
        attempt = asyncio.create_task(self._fetch())
        attempt.add_done_callback(_retrieve)
        self._attempt = attempt
        return attempt

    def _blocked(self) -> LoginFailedError | None:
        fingerprint = self._source.fingerprint()
        if blocked := self._lockout.blocked(fingerprint, self._source.account()):
            return blocked
        for backoff in (self._outage, self._refused, self._new_rejected):
            if backoff.seconds_left(fingerprint) > 0:
                return backoff.error(fingerprint)
        return None

    async def _fetch(self) -> ExpiringCredentials[T] | LoginFailedError:
        if self.cache.unverified:
            if restored := await self.cache.verified():
                self._refusals.issued()
                return restored
            if blocked := self._blocked():
                return blocked
        if self._lockout.was_accepted(self._source.fingerprint()):
            return await self._obtain()
        # An unproven secret is tried by one project at a time: a rejection blocks the others.
        async with self._lockout.one_attempt_at_a_time:
            return self._blocked() or await self._obtain()

    async def _obtain(self) -> ExpiringCredentials[T] | LoginFailedError:
        fingerprint = self._source.fingerprint()
        try:
            obtained = await self._source.obtain()
        except CredentialsRejectedError as error:
            self._lockout.record_failure(str(error), fingerprint, self._source.account())
            return self._failed(error)
        except LoginRefusedError as error:
            self._refused.record_failure(str(error), fingerprint)
            return self._failed(error)
        except httpx.RequestError as error:
            self._outage.record_failure(str(error), fingerprint)
            return self._failed(error)
        self._current.use(obtained, obtained.lifetime)
        self._refusals.issued()
        self.cache.obtained(fingerprint)
        self._outage.clear()
        self._refused.clear()
        self._lockout.record_success(fingerprint)
        self._observer.login_refreshed()
        return obtained

    def _failed(self, error: httpx.RequestError) -> LoginFailedError:
        self._observer.login_failed()
        return LoginFailedError(str(error))


def _retrieve(attempt: "asyncio.Task[object]") -> None:
    """Retrieve the exception of an attempt without callers, so asyncio logs no warning."""
    if not attempt.cancelled():
        attempt.exception()
