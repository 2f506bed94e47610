"""Credentials that end: had once for all who ask, renewed ahead, had anew when refused."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from exporter.clock import Clock
from exporter.cloud.auth.lifetime import Lease
from exporter.cloud.auth.lockout import REFUSED_FIRST, REFUSED_LAST, Lockout
from exporter.cloud.auth.login import LoginObserver
from exporter.cloud.auth.setback import Setback
from exporter.cloud.errors import CloudError, LoginFailedError

T = TypeVar("T")

_OUTAGE_FIRST, _OUTAGE_LAST = 2.0, 60.0
_AHEAD_SHARE, _AHEAD_MAX = 0.1, 30 * 60.0


class CredentialsRefusedError(LoginFailedError):
    """The cloud refused the secret itself: another attempt with it brings the lock nearer."""


class Source(Protocol[T]):
    """Where credentials come from."""

    def fingerprint(self) -> bytes:
        """Return a digest of the secret in use; it changes when the secret does."""

    async def obtain(self) -> Lease[T]:
        """Get fresh credentials.

        Raises `CredentialsRefusedError`, or another `CloudError` when it may work next time.
        """


class Renewal(Generic[T]):
    """Keeps one `Lease` fresh.

    One attempt at a time serves all who wait; it belongs to none of them, so that a caller who
    gives up takes it from nobody. Within the last tenth of their life, 30 minutes at most,
    credentials are renewed in the background while they still serve.
    """

    def __init__(
        self, source: Source[T], *, lockout: Lockout, observer: LoginObserver, clock: Clock
    ) -> None:
        """Start with no credentials; the first who asks gets some."""
        self._source = source
        self._lockout = lockout
        self._observer = observer
        self._clock = clock
        self._outage = Setback(clock, first=_OUTAGE_FIRST, last=_OUTAGE_LAST)
        self._fresh_refused = Setback(clock, first=REFUSED_FIRST, last=REFUSED_LAST)
        self._lease: Lease[T] | None = None
        self._renew_from = 0.0
        self._ends = 0.0
        self._flight: asyncio.Task[Lease[T] | LoginFailedError] | None = None
        # Credentials that were had because others were refused, and not taken by the API so far.
        self._forced = False
        self._on_trial = False

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials end; None before the first."""
        return self._lease.expires_at if self._lease else None

    async def current(self) -> T:
        """Return credentials that are still good; raises `LoginFailedError`."""
        now = self._clock.monotonic()
        if self._lease is None or now >= self._ends:
            return (await self._fresh()).value
        if now >= self._renew_from and not self._flying() and self._blocked() is None:
            self._launch()
        return self._lease.value

    def holds(self, was_sent: Callable[[T], bool]) -> bool:
        """Return whether the credentials that were sent are the present ones."""
        return self._lease is not None and was_sent(self._lease.value)

    async def renew(self, was_sent: Callable[[T], bool]) -> bool:
        """Get fresh credentials after some were refused; return whether there are fresher ones.

        ``was_sent`` tells whether given credentials are the refused ones. Fresh ones that are
        refused too are no reason to log in again at once: the fault lies elsewhere.
        """
        if self._lease is not None and not self.holds(was_sent):
            return True
        if self._on_trial:
            self._on_trial = False
            self._fresh_refused.note("the API refuses fresh credentials")
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

    async def _fresh(self) -> Lease[T]:
        flight = self._flight
        if flight is None or flight.done():
            if blocked := self._blocked():
                raise blocked
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

    def _launch(self) -> asyncio.Task[Lease[T] | LoginFailedError]:
        flight = asyncio.create_task(self._attempt())
        flight.add_done_callback(_retrieve)
        self._flight = flight
        return flight

    def _blocked(self) -> LoginFailedError | None:
        fingerprint = self._source.fingerprint()
        for setback in (self._lockout, self._outage):
            if setback.seconds_left(fingerprint) > 0:
                return setback.error(fingerprint)
        return None

    async def _attempt(self) -> Lease[T] | LoginFailedError:
        try:
            if self._lockout.trusts(self._source.fingerprint()):
                return await self._obtain()
            # Secrets not known to be good are tried by one login of the account at a time, and
            # its refusal holds for the others that wait here.
            async with self._lockout.one_at_a_time:
                return self._blocked() or await self._obtain()
        finally:
            self._forced = False

    async def _obtain(self) -> Lease[T] | LoginFailedError:
        fingerprint = self._source.fingerprint()
        try:
            lease = await self._source.obtain()
        except CredentialsRefusedError as error:
            return self._failed(self._lockout, error, fingerprint)
        except CloudError as error:
            return self._failed(self._outage, error, fingerprint)
        now = self._clock.monotonic()
        self._lease = lease
        self._ends = now + lease.lifetime
        self._renew_from = self._ends - min(lease.lifetime * _AHEAD_SHARE, _AHEAD_MAX)
        self._on_trial = self._forced
        self._outage.clear()
        self._lockout.trust(fingerprint)
        self._observer.login_refreshed()
        return lease

    def _failed(self, setback: Setback, error: CloudError, fingerprint: bytes) -> LoginFailedError:
        setback.note(str(error), fingerprint)
        self._observer.login_failed()
        return setback.error(fingerprint)


def _retrieve(flight: "asyncio.Task[object]") -> None:
    """Look at a failure that nobody may be waiting for any more, lest the loop complains."""
    if not flight.cancelled():
        flight.exception()
