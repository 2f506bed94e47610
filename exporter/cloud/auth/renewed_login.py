"""A login with expiring credentials, which are kept across a restart."""

from typing import Generic, TypeVar

from exporter.cloud.auth.login import Login
from exporter.cloud.auth.renewal import Renewal

T = TypeVar("T")


class RenewedLogin(Login, Generic[T]):
    """A login with expiring credentials; subclasses add them to requests."""

    def __init__(self, credentials: Renewal[T]) -> None:
        self._credentials = credentials

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials expire; None before the first login."""
        return self._credentials.expires_at

    async def snapshot(self) -> str | None:
        """Return the credentials as a secret text to save; None if there are none."""
        return await self._credentials.cache.snapshot()

    def restore(self, saved: str) -> None:
        """Use the credentials that `snapshot` returned before a restart, if still valid."""
        self._credentials.cache.restore(saved)
