"""Send a given token, which an external process renews by rewriting its file."""

from exporter.cloud.auth.header_value import header_value
from exporter.cloud.auth.login import LoginObserver
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import TokenAuth
from exporter.config.secret import SecretUnreadableError
from exporter.http.request import Request

_HEADER = "x-auth-token"


class StaticTokenLogin:
    """Adds a given token to requests; the token is read again for each request."""

    def __init__(self, auth: TokenAuth, *, observer: LoginObserver) -> None:
        self._auth = auth
        self._observer = observer
        self._rejected = ""
        self._validated = ""

    @property
    def expires_at(self) -> float | None:
        """Return None: the expiry time of a given token is unknown."""
        return None

    async def authorize(self, request: Request) -> None:
        """Add the token to a request; raises `LoginFailedError` if it cannot be read."""
        try:
            request.headers[_HEADER] = self._token()
        except LoginFailedError:
            self._observer.login_failed()
            raise

    async def renew(self, rejected: Request) -> bool:
        """Return whether the token has changed since ``rejected`` was sent."""
        sent = rejected.headers.get(_HEADER, "")
        try:
            if self._token() != sent:
                return True
        except LoginFailedError:
            pass
        if sent != self._rejected:
            self._rejected = sent
            self._observer.login_failed()
        return False

    def accepted(self, request: Request) -> None:
        """Record that the API accepted the token of a request."""
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
