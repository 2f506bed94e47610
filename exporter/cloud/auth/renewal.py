"""Credentials that end: had once for all who ask, renewed ahead, had anew when refused."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Backoff
from exporter.cloud.auth.cached_credentials import CachedCredentials
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials
from exporter.cloud.auth.lockout import REFUSED_FIRST, REFUSED_LAST, Lockout
from exporter.cloud.auth.login import LoginObserver
from exporter.cloud.errors import LoginFailedError
from exporter.http.errors import RequestError

T = TypeVar("T")

_OUTAGE_FIRST, _OUTAGE_LAST = 2.0, 60.0
_AHEAD_SHARE, _AHEAD_MAX = 0.1, 30 * 60.0


class CredentialsRefusedError(LoginFailedError):
    """The cloud refused the secret itself: another attempt with it brings the lock nearer."""


class CredentialSource(Protocol[T]):
    """Where credentials come from."""

    def fingerprint(self) -> bytes:
        """Return a digest of the secret in use; it changes when the secret does."""

    def account(self) -> str:
        """Return what names the account: the credentials of one are of no use to another."""

    def to_json(self, credentials: T) -> str:
        """Return credentials as a text, to keep them."""

    def from_json(self, text: str) -> T:
        """Return what `to_json` gave; raises `LoginFailedError` where it is none."""

    async def obtain(self) -> ExpiringCredentials[T]:
        """Get fresh credentials.

        Raises `CredentialsRefusedError`, or another `RequestError` when it may work next time.
        """


class Renewal(Generic[T]):
    """Keeps one `ExpiringCredentials` fresh.

    One attempt at a time serves all who wait; it belongs to none of them, so that a caller who
    gives up takes it from nobody. Within the last tenth of their life, 30 minutes at most,
    credentials are renewed in the background while they still serve.
    """

    def __init__(
        self,
        source: CredentialSource[T],
        *,
        lockout: Lockout,
        observer: LoginObserver,
        clock: Clock,
    ) -> None:
        """Start with no credentials; the first who asks gets some."""
        self._source = source
        self._lockout = lockout
        self._observer = observer
        self._clock = clock
        self._outage = Backoff(clock, first=_OUTAGE_FIRST, last=_OUTAGE_LAST)
        self._fresh_refused = Backoff(clock, first=REFUSED_FIRST, last=REFUSED_LAST)
        self._current: ExpiringCredentials[T] | None = None
        # From before a restart, until it is known whether they are of use.
        self._restored: CachedCredentials | None = None
        # The credentials that we hold, as they are to be kept.
        self._cached: CachedCredentials | None = None
        self._owner = b""
        self._obtained_at = 0.0
        self._renew_from = 0.0
        self._ends = 0.0
        self._flight: asyncio.Task[ExpiringCredentials[T] | LoginFailedError] | None = None
        # Credentials that were had because others were refused, and not taken by the API so far.
        self._forced = False
        self._on_trial = False

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials end; None before the first."""
        return self._current.expires_at if self._current else None

    def restore(self, cached: CachedCredentials) -> None:
        """Try credentials from before a restart first, if they turn out to be of this account."""
        self._restored = cached

    async def snapshot(self) -> CachedCredentials | None:
        """Return what `restore` may take after a restart; None while there is nothing to keep."""
        if self._restored is not None:
            return self._restored
        expiring_credentials = self._current
        if expiring_credentials is None or self._clock.monotonic() >= self._ends:
            return None
        if self._cached is None:
            cached = await asyncio.to_thread(
                CachedCredentials.of,
                self._source.to_json(expiring_credentials.value),
                self._owner,
                expires_at=expiring_credentials.expires_at,
                obtained_at=self._obtained_at,
                lifetime=expiring_credentials.lifetime,
            )
            if expiring_credentials is not self._current:
                return None
            self._cached = cached
        return self._cached

    async def current(self) -> T:
        """Return credentials that are still good; raises `LoginFailedError`."""
        now = self._clock.monotonic()
        if self._current is None or now >= self._ends:
            return (await self._fresh()).value
        if now >= self._renew_from and not self._flying() and self._blocked() is None:
            self._launch()
        return self._current.value

    def holds(self, was_sent: Callable[[T], bool]) -> bool:
        """Return whether the credentials that were sent are the present ones."""
        return self._current is not None and was_sent(self._current.value)

    async def renew(self, was_sent: Callable[[T], bool]) -> bool:
        """Get fresh credentials after some were refused; return whether there are fresher ones.

        ``was_sent`` tells whether given credentials are the refused ones. Fresh ones that are
        refused too are no reason to log in again at once: the fault lies elsewhere.
        """
        if self._current is not None and not self.holds(was_sent):
            return True
        if self._on_trial:
            self._on_trial = False
            self._fresh_refused.record_failure("the API refuses fresh credentials")
            self._observer.login_failed()
            return False
        if self._fresh_refused.seconds_left() > 0:
            return False
        if not self._flying() and self._blocked():
            return False
        self._forced = True
        try:
            await self._fresh()
        except LoginFailedError:
            return False
        return True

    def accepted(self, was_sent: Callable[[T], bool]) -> None:
        """Note that credentials were not refused; ``was_sent`` is as for `renew`."""
        if self.holds(was_sent):
            self._on_trial = False
            self._fresh_refused.clear()

    async def _fresh(self) -> ExpiringCredentials[T]:
        flight = self._flight
        if flight is None or flight.done():
            if self._restored is None and (blocked := self._blocked()):
                try:
                    raise blocked
                finally:
                    # Its traceback holds this frame: together they would be garbage in a circle.
                    del blocked
            flight = self._launch()
        await asyncio.wait([flight])
        if flight.cancelled():
            raise LoginFailedError("the log-in was broken off")
        result = flight.result()
        if isinstance(result, LoginFailedError):
            # One for each who waits: an exception that is shared gathers all their tracebacks.
            raise LoginFailedError(str(result))
        return result

    def _flying(self) -> bool:
        return self._flight is not None and not self._flight.done()

    def _launch(self) -> asyncio.Task[ExpiringCredentials[T] | LoginFailedError]:
        flight = asyncio.create_task(self._attempt())
        flight.add_done_callback(_retrieve)
        self._flight = flight
        return flight

    def _blocked(self) -> LoginFailedError | None:
        fingerprint = self._source.fingerprint()
        for backoff in (self._lockout, self._outage):
            if backoff.seconds_left(fingerprint) > 0:
                return backoff.error(fingerprint)
        return None

    async def _attempt(self) -> ExpiringCredentials[T] | LoginFailedError:
        try:
            if self._restored is not None:
                if expiring_credentials := await self._proven(self._restored):
                    return expiring_credentials
                if blocked := self._blocked():
                    return blocked
            if self._lockout.trusts(self._source.fingerprint()):
                return await self._obtain()
            # Secrets not known to be good are tried by one login of the account at a time, and
            # its refusal holds for the others that wait here.
            async with self._lockout.one_at_a_time:
                return self._blocked() or await self._obtain()
        finally:
            self._forced = False

    async def _proven(self, cached: CachedCredentials) -> ExpiringCredentials[T] | None:
        """Hold what was kept, if it is of this account and still good."""
        owner = self._owner_now(self._source.fingerprint())
        is_ours = await asyncio.to_thread(cached.is_of, owner)
        self._restored = None
        left = cached.seconds_left(self._clock.time())
        if not is_ours or not left:
            return None
        try:
            expiring_credentials = ExpiringCredentials(
                self._source.from_json(cached.value), cached.expires_at, left
            )
        except LoginFailedError:
            return None
        self._hold(expiring_credentials, owner, left, cached.lifetime)
        self._cached = cached
        return expiring_credentials

    def _owner_now(self, fingerprint: bytes) -> bytes:
        return self._source.account().encode("utf-8", "surrogatepass") + b"\0" + fingerprint

    def _hold(
        self,
        expiring_credentials: ExpiringCredentials[T],
        owner: bytes,
        left: float,
        lifetime: float,
    ) -> None:
        """Serve these credentials for the ``left`` seconds of their ``lifetime``."""
        self._current = expiring_credentials
        self._ends = self._clock.monotonic() + left
        self._renew_from = self._ends - min(lifetime * _AHEAD_SHARE, _AHEAD_MAX)
        self._owner = owner
        self._obtained_at = self._clock.time()
        self._cached = None

    async def _obtain(self) -> ExpiringCredentials[T] | LoginFailedError:
        fingerprint = self._source.fingerprint()
        try:
            expiring_credentials = await self._source.obtain()
        except CredentialsRefusedError as error:
            return self._failed(self._lockout, error, fingerprint)
        except RequestError as error:
            return self._failed(self._outage, error, fingerprint)
        self._hold(
            expiring_credentials,
            self._owner_now(fingerprint),
            expiring_credentials.lifetime,
            expiring_credentials.lifetime,
        )
        self._on_trial = self._forced
        self._outage.clear()
        self._lockout.trust(fingerprint)
        self._observer.login_refreshed()
        return expiring_credentials

    def _failed(
        self, backoff: Backoff, error: RequestError, fingerprint: bytes
    ) -> LoginFailedError:
        backoff.record_failure(str(error), fingerprint)
        self._observer.login_failed()
        return backoff.error(fingerprint)


class RenewedLogin(Generic[T]):
    """A login whose credentials end, and can be kept across a restart until they do."""

    def __init__(self, credentials: Renewal[T]) -> None:
        """Log in with ``credentials``."""
        self._credentials = credentials

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials end; None before the first."""
        return self._credentials.expires_at

    def restore(self, text: str) -> None:
        """Begin with what `cached` gave before a restart, if it is still of use."""
        cached = CachedCredentials.from_json(text)
        if cached is not None:
            self._credentials.restore(cached)

    async def snapshot(self) -> str | None:
        """Return the credentials, to keep where only their owner can read; None: there are none."""
        cached = await self._credentials.snapshot()
        return cached.to_json() if cached else None


def _retrieve(flight: "asyncio.Task[object]") -> None:
    """Look at a failure that nobody may be waiting for any more, lest the loop complains."""
    if not flight.cancelled():
        flight.exception()
