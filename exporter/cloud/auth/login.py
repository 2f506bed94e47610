"""Authenticate requests: the flow that all logins share, as an `httpx.Auth`."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

import httpx

from exporter.ratelimit.transport import URGENT

SendRequest = Callable[[httpx.Request], Awaitable[httpx.Response]]
"""Sends one request and reads the complete response, of any status.

Raises `NoResponseError` or `BadResponseError`.
"""

_UNAUTHORIZED = 401
# These statuses prove that the credentials were accepted. A 429 or 5xx may come before that check.
_ACCEPTED = frozenset({200, 400, 403, 404})


class LoginObserver(Protocol):
    """Observes login attempts."""

    def login_refreshed(self) -> None:
        """Record that new credentials were obtained."""

    def login_failed(self) -> None:
        """Record that new credentials could not be obtained, or that the API rejected them."""


class Login(httpx.Auth):
    """Adds credentials to requests, and repeats a request once with renewed ones after a 401."""

    @property
    def expires_at(self) -> float | None:
        """Return the Unix time at which the credentials expire; None if unknown."""
        return None

    async def snapshot(self) -> str | None:
        """Return the credentials as a secret text to save; None if there are none to save."""
        return None

    def restore(self, saved: str) -> None:
        """Use the credentials that `snapshot` returned before a restart, if still valid."""

    @abstractmethod
    async def authorize(self, request: httpx.Request) -> None:
        """Add the credentials to a request; obtain them first if necessary.

        Raises `LoginFailedError`.
        """

    def refresh(self, request: httpx.Request) -> None:
        """Replace credentials that may have aged while the request waited for its permit.

        A signature is valid for 15 minutes, and a token may have been renewed. Raises
        `LoginFailedError`.
        """

    @abstractmethod
    async def renew(self, rejected: httpx.Request, seconds: float = 0.0) -> bool:
        """Obtain new credentials if the 401 to ``rejected``, sent ``seconds`` ago, is their fault.

        Return whether to repeat the request: false if the credentials are not at fault or cannot
        be renewed. Concurrent requests rejected with the same credentials cause one renewal.
        Raises `LoginFailedError` if the credentials are at fault and the renewal fails.
        """

    @abstractmethod
    def accepted(self, request: httpx.Request) -> None:
        """Record that the API accepted the credentials of a request."""

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Authenticate one request; raises `LoginFailedError`."""
        await self.authorize(request)
        request.extensions["refresh"] = self.refresh
        response = yield request
        if response.status_code == _UNAUTHORIZED and await self.renew(request, _seconds(response)):
            request.extensions["due"] = URGENT
            await self.authorize(request)
            response = yield request
            if response.status_code == _UNAUTHORIZED:
                await self.renew(request, _seconds(response))
        if response.status_code in _ACCEPTED:
            self.accepted(request)


def server_id(request: httpx.Request) -> str:
    """Return the server that a request is about; empty if it is about the whole project."""
    return str(request.extensions.get("server_id", ""))


def _seconds(response: httpx.Response) -> float:
    return float(response.extensions.get("seconds", 0.0))
