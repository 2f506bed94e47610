"""Restore credentials after a restart, and seal the current ones for the next restart."""

import asyncio
from typing import Generic, TypeVar

from exporter.clock import Clock
from exporter.cloud.auth.cached_credentials import CachedCredentials
from exporter.cloud.auth.credential_source import CredentialSource
from exporter.cloud.auth.current_credentials import CurrentCredentials
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials
from exporter.cloud.errors import LoginFailedError

T = TypeVar("T")


class CredentialCache(Generic[T]):
    """Saves and restores the ``current`` credentials, which belong to an account and its secret."""

    def __init__(
        self, source: CredentialSource[T], current: CurrentCredentials[T], clock: Clock
    ) -> None:
        self._source = source
        self._current = current
        self._clock = clock
        # From before a restart and not verified yet.
        self._restored: CachedCredentials | None = None
        # The current credentials in the form to save.
        self._sealed: CachedCredentials | None = None
        self._owner = b""
        self._obtained_at = 0.0

    @property
    def unverified(self) -> bool:
        """Return whether there are restored credentials that `verified` has not checked yet."""
        return self._restored is not None

    async def snapshot(self) -> str | None:
        """Return the credentials as a secret text to save; None if there are none."""
        cached = self._restored or await self._seal()
        return cached.to_json() if cached else None

    def restore(self, saved: str) -> None:
        """Keep the credentials that `snapshot` returned before a restart until `verified`."""
        self._restored = CachedCredentials.from_json(saved)

    async def verified(self) -> ExpiringCredentials[T] | None:
        """Use restored credentials and return them.

        Return None if there are none, they belong to another account or secret, or have expired.
        """
        cached = self._restored
        if cached is None:
            return None
        owner = self._owner_of(self._source.fingerprint())
        is_owner = await asyncio.to_thread(cached.is_of, owner)
        self._restored = None
        left = cached.seconds_left(self._clock.time())
        if not is_owner or not left:
            return None
        try:
            value = self._source.from_json(cached.value)
        except LoginFailedError:
            return None
        restored = ExpiringCredentials(value, cached.expires_at, left)
        self._current.use(restored, cached.lifetime)
        self._sealed = cached
        return restored

    def obtained(self, fingerprint: bytes) -> None:
        """Record that the current credentials were obtained now, with this secret."""
        self._owner = self._owner_of(fingerprint)
        self._obtained_at = self._clock.time()
        self._sealed = None

    async def _seal(self) -> CachedCredentials | None:
        current = self._current.valid
        if current is None:
            return None
        if self._sealed is None:
            sealed = await asyncio.to_thread(
                CachedCredentials.of,
                self._source.to_json(current.value),
                self._owner,
                expires_at=current.expires_at,
                obtained_at=self._obtained_at,
                lifetime=current.lifetime,
            )
            if current is not self._current.valid:
                return None
            self._sealed = sealed
        return self._sealed

    def _owner_of(self, fingerprint: bytes) -> bytes:
        return self._source.account().encode("utf-8", "surrogatepass") + b"\0" + fingerprint
