"""Fetch expiring credentials when they are needed, and not again too soon after a failure.

They are fetched once for concurrent callers, refreshed before they expire, and refetched when the
API rejects them.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import httpx

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff
from exporter.cloud.auth.credential_cache import CredentialCache
from exporter.cloud.auth.credential_source import CredentialSource, CredentialsRejectedError
from exporter.cloud.auth.current_credentials import CurrentCredentials
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials
from exporter.cloud.auth.lockout import REJECTED_FIRST, REJECTED_LAST, Lockout
from exporter.cloud.auth.login import LoginObserver
from exporter.cloud.errors import LoginFailedError

T = TypeVar("T")

_OUTAGE_FIRST, _OUTAGE_LAST = 2.0, 60.0


class Renewal(Generic[T]):
    """Keeps one `ExpiringCredentials` valid; the first caller triggers the first fetch.

    All callers wait for the same attempt, which runs in its own task, so a cancelled caller does
    not cancel it. Credentials that expire soon are refreshed in the background while they are still
    used. ``cache`` keeps them across a restart.
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
        self._new_rejected = Backoff(clock, first=REJECTED_FIRST, last=REJECTED_LAST)
        self._current = CurrentCredentials[T](clock)
        self.cache = CredentialCache(source, self._current, clock)
        self._attempt: asyncio.Task[ExpiringCredentials[T] | LoginFailedError] | None = None
        # Whether the running attempt replaces rejected credentials.
        self._is_replacing = False
        # Whether the current credentials replaced rejected ones and are not accepted yet.
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

    async def current(self) -> T:
        """Return valid credentials, fetching them if necessary; raises `LoginFailedError`."""
        current = self._current.valid
        if current is None:
            return (await self._wait_for_fetch()).value
        if self._current.refresh_due and not self._is_fetching() and self._blocked() is None:
            self._start_attempt()
        return current.value

    def is_current(self, was_sent: Callable[[T], bool]) -> bool:
        """Return whether the credentials that were sent are the current ones."""
        latest = self._current.latest
        return latest is not None and was_sent(latest.value)

    async def renew(self, was_sent: Callable[[T], bool]) -> bool:
        """Fetch new credentials after a rejection; return whether newer ones are available.

        ``was_sent`` returns whether given credentials are the rejected ones. If the API rejects new
        credentials too, the next fetch waits: the fault lies elsewhere.
        """
        if self._current.latest is not None and not self.is_current(was_sent):
            return True
        if self._is_unproven:
            self._is_unproven = False
            self._new_rejected.record_failure("the API rejects new credentials")
            self._observer.login_failed()
            return False
        if self._new_rejected.seconds_left() > 0:
            return False
        if not self._is_fetching() and self._blocked():
            return False
        self._is_replacing = True
        try:
            await self._wait_for_fetch()
        except LoginFailedError:
            return False
        return True

    def accepted(self, was_sent: Callable[[T], bool]) -> None:
        """Record that the API accepted credentials; ``was_sent`` is as for `renew`."""
        if self.is_current(was_sent):
            self._is_unproven = False
            self._new_rejected.clear()

    async def _wait_for_fetch(self) -> ExpiringCredentials[T]:
        attempt = self._attempt
        if attempt is None or attempt.done():
            if not self.cache.unverified and (blocked := self._blocked()):
                try:
                    raise blocked
                finally:
                    # Its traceback refers to this frame: delete it to avoid a reference cycle.
                    del blocked
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
        for backoff in (self._lockout, self._outage):
            if backoff.seconds_left(fingerprint) > 0:
                return backoff.error(fingerprint)
        return None

    async def _fetch(self) -> ExpiringCredentials[T] | LoginFailedError:
        try:
            if self.cache.unverified:
                if restored := await self.cache.verified():
                    return restored
                if blocked := self._blocked():
                    return blocked
            if self._lockout.was_accepted(self._source.fingerprint()):
                return await self._obtain()
            # An unproven secret is tried by one project at a time: a rejection blocks the others.
            async with self._lockout.one_attempt_at_a_time:
                return self._blocked() or await self._obtain()
        finally:
            self._is_replacing = False

    async def _obtain(self) -> ExpiringCredentials[T] | LoginFailedError:
        fingerprint = self._source.fingerprint()
        try:
            obtained = await self._source.obtain()
        except CredentialsRejectedError as error:
            return self._failed(self._lockout, error, fingerprint)
        except httpx.RequestError as error:
            return self._failed(self._outage, error, fingerprint)
        self._current.use(obtained, obtained.lifetime)
        self.cache.obtained(fingerprint)
        self._is_unproven = self._is_replacing
        self._outage.clear()
        self._lockout.record_success(fingerprint)
        self._observer.login_refreshed()
        return obtained

    def _failed(
        self, backoff: Backoff, error: httpx.RequestError, fingerprint: bytes
    ) -> LoginFailedError:
        backoff.record_failure(str(error), fingerprint)
        self._observer.login_failed()
        return backoff.error(fingerprint)


def _retrieve(attempt: "asyncio.Task[object]") -> None:
    """Retrieve the exception of an attempt without callers, so asyncio logs no warning."""
    if not attempt.cancelled():
        attempt.exception()
