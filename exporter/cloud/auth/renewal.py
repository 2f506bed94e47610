"""Credentials that end: had once for all who ask, renewed ahead, had anew when refused."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from exporter.clock import Clock
from exporter.cloud.auth.backoff import Setback
from exporter.cloud.auth.cached_credentials import Keepsake
from exporter.cloud.auth.expiring_credentials import Lease
from exporter.cloud.auth.lockout import REFUSED_FIRST, REFUSED_LAST, Lockout
from exporter.cloud.auth.login import LoginObserver
from exporter.http.errors import CloudError, LoginFailedError

T = TypeVar("T")

_OUTAGE_FIRST, _OUTAGE_LAST = 2.0, 60.0
_AHEAD_SHARE, _AHEAD_MAX = 0.1, 30 * 60.0


class CredentialsRefusedError(LoginFailedError):
    """The cloud refused the secret itself: another attempt with it brings the lock nearer."""


class Source(Protocol[T]):
    """Where credentials come from."""

    def fingerprint(self) -> bytes:
        """Return a digest of the secret in use; it changes when the secret does."""

    def account(self) -> str:
        """Return what names the account: the credentials of one are of no use to another."""

    def written(self, credentials: T) -> str:
        """Return credentials as a text, to keep them."""

    def read(self, written: str) -> T:
        """Return what `written` gave; raises `LoginFailedError` where it is none."""

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
        # From before a restart, until it is known whether they are of use.
        self._recalled: Keepsake | None = None
        # The credentials that we hold, as they are to be kept.
        self._keepsake: Keepsake | None = None
        self._owner = b""
        self._obtained_at = 0.0
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

    def recall(self, keepsake: Keepsake) -> None:
        """Try credentials from before a restart first, if they turn out to be of this account."""
        self._recalled = keepsake

    async def keepsake(self) -> Keepsake | None:
        """Return what `recall` may take after a restart; None while there is nothing to keep."""
        if self._recalled is not None:
            return self._recalled
        lease = self._lease
        if lease is None or self._clock.monotonic() >= self._ends:
            return None
        if self._keepsake is None:
            keepsake = await asyncio.to_thread(
                Keepsake.of,
                self._source.written(lease.value),
                self._owner,
                expires_at=lease.expires_at,
                obtained_at=self._obtained_at,
                lifetime=lease.lifetime,
            )
            if lease is not self._lease:
                return None
            self._keepsake = keepsake
        return self._keepsake

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
            if self._recalled is None and (blocked := self._blocked()):
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
            if self._recalled is not None:
                if lease := await self._proven(self._recalled):
                    return lease
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

    async def _proven(self, keepsake: Keepsake) -> Lease[T] | None:
        """Hold what was kept, if it is of this account and still good."""
        owner = self._owner_now(self._source.fingerprint())
        is_ours = await asyncio.to_thread(keepsake.is_of, owner)
        self._recalled = None
        left = keepsake.seconds_left(self._clock.time())
        if not is_ours or not left:
            return None
        try:
            lease = Lease(self._source.read(keepsake.value), keepsake.expires_at, left)
        except LoginFailedError:
            return None
        self._hold(lease, owner, left, keepsake.lifetime)
        self._keepsake = keepsake
        return lease

    def _owner_now(self, fingerprint: bytes) -> bytes:
        return self._source.account().encode("utf-8", "surrogatepass") + b"\0" + fingerprint

    def _hold(self, lease: Lease[T], owner: bytes, left: float, lifetime: float) -> None:
        """Serve these credentials for the ``left`` seconds of their ``lifetime``."""
        self._lease = lease
        self._ends = self._clock.monotonic() + left
        self._renew_from = self._ends - min(lifetime * _AHEAD_SHARE, _AHEAD_MAX)
        self._owner = owner
        self._obtained_at = self._clock.time()
        self._keepsake = None

    async def _obtain(self) -> Lease[T] | LoginFailedError:
        fingerprint = self._source.fingerprint()
        try:
            lease = await self._source.obtain()
        except CredentialsRefusedError as error:
            return self._failed(self._lockout, error, fingerprint)
        except CloudError as error:
            return self._failed(self._outage, error, fingerprint)
        self._hold(lease, self._owner_now(fingerprint), lease.lifetime, lease.lifetime)
        self._on_trial = self._forced
        self._outage.clear()
        self._lockout.trust(fingerprint)
        self._observer.login_refreshed()
        return lease

    def _failed(self, setback: Setback, error: CloudError, fingerprint: bytes) -> LoginFailedError:
        setback.note(str(error), fingerprint)
        self._observer.login_failed()
        return setback.error(fingerprint)


class RenewedLogin(Generic[T]):
    """A login whose credentials end, and can be kept across a restart until they do."""

    def __init__(self, credentials: Renewal[T]) -> None:
        """Log in with ``credentials``."""
        self._credentials = credentials

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials end; None before the first."""
        return self._credentials.expires_at

    def recall(self, written: str) -> None:
        """Begin with what `keepsake` gave before a restart, if it is still of use."""
        keepsake = Keepsake.read(written)
        if keepsake is not None:
            self._credentials.recall(keepsake)

    async def keepsake(self) -> str | None:
        """Return the credentials, to keep where only their owner can read; None: there are none."""
        keepsake = await self._credentials.keepsake()
        return keepsake.written() if keepsake else None


def _retrieve(flight: "asyncio.Task[object]") -> None:
    """Look at a failure that nobody may be waiting for any more, lest the loop complains."""
    if not flight.cancelled():
        flight.exception()
