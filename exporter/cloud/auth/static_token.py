"""Send a given token, which an external process renews by rewriting its file."""

import hashlib

import httpx

from exporter.clock import Clock
from exporter.cloud.auth.header_value import header_value
from exporter.cloud.auth.key_lockout import KeyLockout
from exporter.cloud.auth.login import Login, LoginObserver
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import TokenAuth
from exporter.config.secret import SecretUnreadableError

_HEADER = "x-auth-token"


class StaticTokenLogin(Login):
    """Adds a given token to requests; the token is read again for each request."""

    def __init__(self, auth: TokenAuth, *, observer: LoginObserver, clock: Clock) -> None:
        self._auth = auth
        self._observer = observer
        self._lockout = KeyLockout(
            clock,
            "the API rejects the token: it has expired or is of another project; write a new one "
            "to token_file or set it in auth.token",
        )
        self._rejected = ""
        self._validated = ""

    async def authorize(self, request: httpx.Request) -> None:
        """Add the token to a request.

        Raises `LoginFailedError` if the token cannot be read, or while the API rejects it.
        """
        try:
            token = self._token()
        except LoginFailedError:
            self._observer.login_failed()
            raise
        self._lockout.authorize(request, hashlib.sha256(token.encode()).digest())
        request.headers[_HEADER] = token

    async def renew(self, rejected: httpx.Request, seconds: float = 0.0) -> bool:
        """Return whether the token has changed since ``rejected`` was sent."""
        sent = rejected.headers.get(_HEADER, "")
        try:
            if self._token() != sent:
                return True
        except LoginFailedError:
            pass
        if self._lockout.rejected(rejected, seconds) and sent != self._rejected:
            self._rejected = sent
            self._observer.login_failed()
        return False

    def accepted(self, request: httpx.Request) -> None:
        """Record that the API accepted the token of a request."""
        self._lockout.accepted(request)
        if self._rejected == request.headers.get(_HEADER):
            self._rejected = ""
        self._validated = ""

    def _token(self) -> str:
        try:
            token = self._auth.token.reveal()
        except SecretUnreadableError as error:
            raise LoginFailedError(str(error)) from None
        if token != self._validated:
            self._validated = header_value(token, "the token (auth.token)")
        return self._validated
