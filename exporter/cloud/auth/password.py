"""The login with user name and password, exchanged for a token at IAM or OpenStack Keystone."""

import hashlib
import json

from exporter.clock import Clock
from exporter.cloud.api_error import ApiError
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials, expiring_credentials
from exporter.cloud.auth.header_value import header_value
from exporter.cloud.auth.lockout import Lockout
from exporter.cloud.auth.login import LoginObserver, SendRequest
from exporter.cloud.auth.renewal import CredentialsRefusedError, Renewal, RenewedLogin
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import PasswordAuth
from exporter.config.secret import SecretUnreadableError
from exporter.http.errors import RequestError
from exporter.http.request import Request
from exporter.http.response import Response

_HEADER = "x-auth-token"
_CREATED = (200, 201)
# Refusals that are not about the credentials: the proxy's, slowness, too early, too often.
_NOT_OURS = frozenset({407, 408, 425, 429})
_CURES = {
    400: "check project_id, username and domain",
    401: "check username, password and domain, and that the account is not locked",
    403: "check that the user may use the API with a password, and may use the project",
    404: "check iam_endpoint",
}


class PasswordLogin(RenewedLogin[str]):
    """Puts a project's token on requests, had with a password."""

    def __init__(  # noqa: PLR0913 - what a login is made of
        self,
        auth: PasswordAuth,
        project_id: str,
        *,
        send: SendRequest,
        lockout: Lockout,
        observer: LoginObserver,
        clock: Clock,
    ) -> None:
        """Log in as ``auth`` to ``project_id``, through ``send``."""
        source = PasswordSource(auth, project_id, send=send, clock=clock)
        super().__init__(Renewal(source, lockout=lockout, observer=observer, clock=clock))

    async def authorize(self, request: Request) -> None:
        """Put the token on a request; log in first if need be. Raises `LoginFailedError`."""
        request.headers[_HEADER] = await self._credentials.current()

    async def renew(self, rejected: Request) -> bool:
        """Log in again, once for all requests that were rejected with the same token."""
        return await self._credentials.renew(lambda token: _carries(rejected, token))

    def accepted(self, request: Request) -> None:
        """Note that the token on a request was not refused."""
        self._credentials.accepted(lambda token: _carries(request, token))


class PasswordSource:
    """Asks IAM for a token."""

    def __init__(
        self, auth: PasswordAuth, project_id: str, *, send: SendRequest, clock: Clock
    ) -> None:
        """Ask for a token of ``project_id``."""
        self._auth = auth
        self._project_id = project_id
        self._send = send
        self._clock = clock

    def fingerprint(self) -> bytes:
        """Return a digest of the password; empty when it cannot be read."""
        try:
            return hashlib.sha256(
                self._auth.password.reveal().encode("utf-8", "surrogatepass")
            ).digest()
        except SecretUnreadableError:
            return b""

    def account(self) -> str:
        """Return the user, where it logs in, and to what."""
        auth = self._auth
        return json.dumps([auth.iam_endpoint, auth.domain, auth.username, self._project_id])

    def to_json(self, credentials: str) -> str:
        """Return a token as it is."""
        return credentials

    def from_json(self, text: str) -> str:
        """Return a token that was kept; raises `LoginFailedError` where it is none."""
        return header_value(text, "the token that was kept")

    async def obtain(self) -> ExpiringCredentials[str]:
        """Log in; raises `CredentialsRefusedError` or another `RequestError`."""
        request = self._request()
        try:
            response = await self._send(request)
        except RequestError as error:
            raise LoginFailedError(f"no answer of IAM to the log-in: {error}") from None
        if response.status in _CREATED:
            token = header_value(
                response.headers.get("x-subject-token"), "the token of IAM's answer"
            )
            return expiring_credentials(token, _expires_at(response), response, self._clock.time())
        what = f"IAM answered the log-in of user {self._auth.username!r} with {response.status}"
        # Its message is left out: it is not ours, and could quote what was sent.
        if (code := ApiError.of(response).code) not in {"", str(response.status)}:
            what = f"{what} {code}"
        if 400 <= response.status < 500 and response.status not in _NOT_OURS:  # noqa: PLR2004
            cure = _CURES.get(response.status, "check the login's settings")
            raise CredentialsRefusedError(f"{what}: {cure}")
        raise LoginFailedError(what)

    def _request(self) -> Request:
        try:
            password = self._auth.password.reveal()
        except SecretUnreadableError as error:
            raise LoginFailedError(str(error)) from None
        user = {
            "name": self._auth.username,
            "password": password,
            "domain": {"name": self._auth.domain},
        }
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": self._project_id}},
        }
        return Request.to(
            "POST",
            f"{self._auth.iam_endpoint}/v3/auth/tokens?nocatalog=true",
            headers={"content-type": "application/json"},
            # In ASCII: a password from the environment may hold what UTF-8 cannot say.
            content=json.dumps({"auth": auth}),
        )


def _carries(request: Request, token: str) -> bool:
    return bool(request.headers.get(_HEADER) == token)


def _expires_at(response: Response) -> object:
    body = response.json()
    token = body.get("token") if isinstance(body, dict) else None
    return token.get("expires_at") if isinstance(token, dict) else None
