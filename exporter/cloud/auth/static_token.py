"""The login with a ready token, which somebody else renews by rewriting its file."""

from exporter.cloud.auth.header_value import header_value
from exporter.cloud.auth.login import LoginObserver
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import TokenAuth
from exporter.config.secret import SecretUnreadableError
from exporter.http.request import Request

_HEADER = "x-auth-token"


class StaticTokenLogin:
    """Sends a given token, read again for each request."""

    def __init__(self, auth: TokenAuth, *, observer: LoginObserver) -> None:
        """Send the token of ``auth``."""
        self._auth = auth
        self._observer = observer
        self._refused = ""
        self._checked = ""

    @property
    def expires_at(self) -> float | None:
        """Return None: a token does not tell when it ends."""
        return None

    async def authorize(self, request: Request) -> None:
        """Put the token on a request; raises `LoginFailedError` when it cannot be read."""
        try:
            request.headers[_HEADER] = self._token()
        except LoginFailedError:
            self._observer.login_failed()
            raise

    async def renew(self, rejected: Request) -> bool:
        """Return whether the token is another by now than the one that was rejected."""
        sent = rejected.headers.get(_HEADER, "")
        try:
            if self._token() != sent:
                return True
        except LoginFailedError:
            pass
        if sent != self._refused:
            self._refused = sent
            self._observer.login_failed()
        return False

    def accepted(self, request: Request) -> None:
        """Note that the token on a request was not refused."""
        if self._refused == request.headers.get(_HEADER):
            self._refused = ""
        self._checked = ""

    def _token(self) -> str:
        try:
            token = self._auth.token.reveal()
        except SecretUnreadableError as error:
            raise LoginFailedError(str(error)) from None
        if token != self._checked:
            self._checked = header_value(token, "the token")
        return self._checked
