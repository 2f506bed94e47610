"""Keep expiring credentials valid.

They are fetched once for concurrent callers, refreshed before they expire, and refetched when the
API rejects them.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import httpx

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff
from exporter.cloud.auth.cached_credentials import CachedCredentials
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials
from exporter.cloud.auth.lockout import REJECTED_FIRST, REJECTED_LAST, Lockout
from exporter.cloud.auth.login import Login, LoginObserver
from exporter.cloud.errors import LoginFailedError

T = TypeVar("T")

_OUTAGE_FIRST, _OUTAGE_LAST = 2.0, 60.0
_REFRESH_SHARE, _REFRESH_MAX = 0.1, 30 * 60.0


class CredentialsRejectedError(LoginFailedError):
    """IAM rejected the secret itself; more attempts with it would lock the account."""


class CredentialSource(Protocol[T]):
    """Fetches one kind of credentials."""

    def fingerprint(self) -> bytes:
        """Return a digest of the configured secret, to detect a change."""

    def account(self) -> str:
        """Return a text that identifies the account of the credentials."""

    def to_json(self, credentials: T) -> str:
        """Return credentials as a text to save."""

    def from_json(self, text: str) -> T:
        """Parse the output of `to_json`; raises `LoginFailedError` if it is invalid."""

    async def obtain(self) -> ExpiringCredentials[T]:
        """Fetch new credentials.

        Raises `CredentialsRejectedError`, or another `httpx.RequestError` if a retry may succeed.
        """


class Renewal(Generic[T]):
    """Keeps one `ExpiringCredentials` valid; the first caller triggers the first fetch.

    All callers wait for the same attempt, which runs in its own task, so a cancelled caller does
    not cancel it. During the last tenth of their lifetime, at most 30 minutes, credentials are
    refreshed in the background while they are still used.
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
        self._clock = clock
        self._outage = Backoff(clock, first=_OUTAGE_FIRST, last=_OUTAGE_LAST)
        self._new_rejected = Backoff(clock, first=REJECTED_FIRST, last=REJECTED_LAST)
        self._current: ExpiringCredentials[T] | None = None
        # From before a restart and not verified yet.
        self._restored: CachedCredentials | None = None
        # The current credentials in the form to save.
        self._cached: CachedCredentials | None = None
        self._owner = b""
        self._obtained_at = 0.0
        self._renew_from = 0.0
        self._valid_until = 0.0
        self._attempt: asyncio.Task[ExpiringCredentials[T] | LoginFailedError] | None = None
        # Whether the running attempt replaces rejected credentials.
        self._is_replacing = False
        # Whether the current credentials replaced rejected ones and are not accepted yet.
        self._is_unproven = False

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials expire; None before the first login."""
        return self._current.expires_at if self._current else None

    def restore(self, cached: CachedCredentials) -> None:
        """Use credentials from before a restart, if they belong to this account and are valid."""
        self._restored = cached

    async def snapshot(self) -> CachedCredentials | None:
        """Return the credentials for `restore` after a restart; None if there are none."""
        if self._restored is not None:
            return self._restored
        current = self._current
        if current is None or self._clock.monotonic() >= self._valid_until:
            return None
        if self._cached is None:
            cached = await asyncio.to_thread(
                CachedCredentials.of,
                self._source.to_json(current.value),
                self._owner,
                expires_at=current.expires_at,
                obtained_at=self._obtained_at,
                lifetime=current.lifetime,
            )
            if current is not self._current:
                return None
            self._cached = cached
        return self._cached

    async def current(self) -> T:
        """Return valid credentials, fetching them if necessary; raises `LoginFailedError`."""
        now = self._clock.monotonic()
        if self._current is None or now >= self._valid_until:
            return (await self._wait_for_fetch()).value
        if now >= self._renew_from and not self._is_fetching() and self._blocked() is None:
            self._start_attempt()
        return self._current.value

    def is_current(self, was_sent: Callable[[T], bool]) -> bool:
        """Return whether the credentials that were sent are the current ones."""
        return self._current is not None and was_sent(self._current.value)

    async def renew(self, was_sent: Callable[[T], bool]) -> bool:
        """Fetch new credentials after a rejection; return whether newer ones are available.

        ``was_sent`` returns whether given credentials are the rejected ones. If the API rejects new
        credentials too, the next fetch waits: the fault lies elsewhere.
        """
        if self._current is not None and not self.is_current(was_sent):
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
            if self._restored is None and (blocked := self._blocked()):
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
            if self._restored is not None:
                if restored := await self._use_restored(self._restored):
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

    async def _use_restored(self, cached: CachedCredentials) -> ExpiringCredentials[T] | None:
        """Make restored credentials current if they belong to this account and are valid."""
        owner = self._owner_of(self._source.fingerprint())
        is_owner = await asyncio.to_thread(cached.is_of, owner)
        self._restored = None
        left = cached.seconds_left(self._clock.time())
        if not is_owner or not left:
            return None
        try:
            restored = ExpiringCredentials(
                self._source.from_json(cached.value), cached.expires_at, left
            )
        except LoginFailedError:
            return None
        self._set_current(restored, owner, left, cached.lifetime)
        self._cached = cached
        return restored

    def _owner_of(self, fingerprint: bytes) -> bytes:
        return self._source.account().encode("utf-8", "surrogatepass") + b"\0" + fingerprint

    def _set_current(
        self,
        credentials: ExpiringCredentials[T],
        owner: bytes,
        left: float,
        lifetime: float,
    ) -> None:
        """Use these credentials for the ``left`` seconds of their ``lifetime``."""
        self._current = credentials
        self._valid_until = self._clock.monotonic() + left
        self._renew_from = self._valid_until - min(lifetime * _REFRESH_SHARE, _REFRESH_MAX)
        self._owner = owner
        self._obtained_at = self._clock.time()
        self._cached = None

    async def _obtain(self) -> ExpiringCredentials[T] | LoginFailedError:
        fingerprint = self._source.fingerprint()
        try:
            obtained = await self._source.obtain()
        except CredentialsRejectedError as error:
            return self._failed(self._lockout, error, fingerprint)
        except httpx.RequestError as error:
            return self._failed(self._outage, error, fingerprint)
        self._set_current(
            obtained,
            self._owner_of(fingerprint),
            obtained.lifetime,
            obtained.lifetime,
        )
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


class RenewedLogin(Login, Generic[T]):
    """A login with expiring credentials, which can be restored after a restart."""

    def __init__(self, credentials: Renewal[T]) -> None:
        self._credentials = credentials

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials expire; None before the first login."""
        return self._credentials.expires_at

    async def snapshot(self) -> str | None:
        """Return the credentials as a secret text to save; None if there are none."""
        cached = await self._credentials.snapshot()
        return cached.to_json() if cached else None

    def restore(self, saved: str) -> None:
        """Use the credentials that `snapshot` returned before a restart, if still valid."""
        cached = CachedCredentials.from_json(saved)
        if cached is not None:
            self._credentials.restore(cached)


def _retrieve(attempt: "asyncio.Task[object]") -> None:
    """Retrieve the exception of an attempt without callers, so asyncio logs no warning."""
    if not attempt.cancelled():
        attempt.exception()
