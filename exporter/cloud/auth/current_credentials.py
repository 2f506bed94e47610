"""Hold the credentials in use, and tell when to refresh them."""

from typing import Generic, TypeVar

from exporter.clock import Clock
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials

T = TypeVar("T")

_REFRESH_SHARE, _REFRESH_MAX = 0.1, 30 * 60.0


class CurrentCredentials(Generic[T]):
    """The credentials in use, if there are any.

    They are due for a refresh in the last tenth of their lifetime, at most 30 minutes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: ExpiringCredentials[T] | None = None
        self._refresh_from = 0.0
        self._valid_until = 0.0

    @property
    def latest(self) -> ExpiringCredentials[T] | None:
        """Return the credentials, even if they have expired; None if there were never any."""
        return self._latest

    @property
    def valid(self) -> ExpiringCredentials[T] | None:
        """Return the credentials; None if they have expired or there are none."""
        return self._latest if self._clock.monotonic() < self._valid_until else None

    @property
    def refresh_due(self) -> bool:
        """Return whether the credentials expire soon."""
        return self._clock.monotonic() >= self._refresh_from

    def use(self, credentials: ExpiringCredentials[T], whole_lifetime: float) -> None:
        """Replace the credentials; ``whole_lifetime`` is counted from when they were obtained."""
        self._latest = credentials
        self._valid_until = self._clock.monotonic() + credentials.lifetime
        self._refresh_from = self._valid_until - min(whole_lifetime * _REFRESH_SHARE, _REFRESH_MAX)

    def discard(self) -> None:
        """Stop using the credentials, because the API rejects them."""
        self._valid_until = self._clock.monotonic()
