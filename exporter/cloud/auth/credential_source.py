"""The interface of what fetches one kind of credentials, such as tokens of IAM."""

from typing import Protocol, TypeVar

from exporter.cloud.auth.expiring_credentials import ExpiringCredentials
from exporter.cloud.errors import LoginFailedError

T = TypeVar("T")


class CredentialsRejectedError(LoginFailedError):
    """IAM rejected the secret itself; more attempts with it would lock the account."""


class LoginRefusedError(LoginFailedError):
    """IAM refused the login for another reason, such as missing permissions."""


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

        Raises `CredentialsRejectedError`, `LoginRefusedError`, or another `httpx.RequestError` if
        a retry may soon succeed.
        """
