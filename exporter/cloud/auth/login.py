"""Protocols of the logins."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from exporter.http.request import Request
from exporter.http.response import Response

SendRequest = Callable[[Request], Awaitable[Response]]
"""Sends one request and reads the complete response, of any status.

Raises `NoResponseError` or `BadResponseError`.
"""


class LoginObserver(Protocol):
    """Observes login attempts."""

    def login_refreshed(self) -> None:
        """Record that new credentials were obtained."""

    def login_failed(self) -> None:
        """Record that new credentials could not be obtained, or that the API rejected them."""


class Login(Protocol):
    """Adds credentials to requests and renews them."""

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials expire; None if unknown."""

    async def authorize(self, request: Request) -> None:
        """Add the credentials to a request; obtain them first if necessary.

        Raises `LoginFailedError`.
        """

    async def renew(self, rejected: Request) -> bool:
        """Obtain new credentials after ``rejected`` was answered 401.

        Return whether to repeat the request: false if no newer credentials are available now.
        Concurrent requests rejected with the same credentials cause one renewal.
        """

    def accepted(self, request: Request) -> None:
        """Record that the API accepted the credentials of a request."""
