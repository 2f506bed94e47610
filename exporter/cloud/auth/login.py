"""What a login does, whichever kind it is."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from exporter.http.request import Request
from exporter.http.response import Response

SendRequest = Callable[[Request], Awaitable[Response]]
"""Sends one request and reads the answer whole.

Raises `NoResponseError` or `BadResponseError`; an answer of any status is returned.
"""


class LoginObserver(Protocol):
    """Who wants to know what becomes of log-in attempts."""

    def login_refreshed(self) -> None:
        """Note that new credentials were had."""

    def login_failed(self) -> None:
        """Note that new credentials could not be had, or that fresh ones were refused."""


class Login(Protocol):
    """Puts credentials on requests and renews them."""

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials end; None where that is not known."""

    async def authorize(self, request: Request) -> None:
        """Put the credentials on a request; get some first if need be.

        Raises `LoginFailedError`.
        """

    async def renew(self, rejected: Request) -> bool:
        """Get fresh credentials after ``rejected`` was answered 401.

        Return whether the request is worth sending again: false when nothing fresher can be had
        now. Many requests rejected for one stale credential cause one renewal.
        """

    def accepted(self, request: Request) -> None:
        """Note that the credentials on a request were not refused."""
