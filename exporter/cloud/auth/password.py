"""Log in with user name and password for a token of IAM or OpenStack Keystone."""

import hashlib
import json

import httpx

from exporter.clock import Clock
from exporter.cloud.api_error import ApiError
from exporter.cloud.auth.credential_source import CredentialsRejectedError, LoginRefusedError
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials, expiring_credentials
from exporter.cloud.auth.header_value import header_value
from exporter.cloud.auth.lockout import Lockout
from exporter.cloud.auth.login import LoginObserver, SendRequest, server_id
from exporter.cloud.auth.renewal import Renewal
from exporter.cloud.auth.renewed_login import RenewedLogin
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import PasswordAuth
from exporter.config.secret import SecretUnreadableError
from exporter.http.json_body import json_body

_HEADER = "x-auth-token"
_CREATED = (200, 201)
# Client errors that say nothing about the login, and those that do not count as a wrong password.
_NOT_ABOUT_LOGIN = frozenset({407, 408, 425, 429})
_NOT_ABOUT_PASSWORD = frozenset({400, 403, 404})
_REMEDIES = {
    400: "check project_id, username and domain",
    401: "check username, password, domain and project_id, and that the account is not locked",
    403: "check that the user may use the API with a password, and may use the project",
    404: "check iam_endpoint",
    407: "check the user and password in proxy_url",
    429: "IAM limits the rate of logins; the exporter retries",
}


class PasswordLogin(RenewedLogin[str]):
    """Adds a project's token to requests, obtained with a password from IAM through ``send``."""

    def __init__(  # noqa: PLR0913 - all parts of a login
        self,
        auth: PasswordAuth,
        project_id: str,
        *,
        send: SendRequest,
        lockout: Lockout,
        observer: LoginObserver,
        clock: Clock,
    ) -> None:
        source = PasswordSource(auth, project_id, send=send, clock=clock)
        super().__init__(Renewal(source, lockout=lockout, observer=observer, clock=clock))

    async def authorize(self, request: httpx.Request) -> None:
        """Add the token to a request; log in first if necessary. Raises `LoginFailedError`."""
        request.headers[_HEADER] = await self._credentials.current(server_id(request))

    def refresh(self, request: httpx.Request) -> None:
        """Put the current token on a request."""
        token = self._credentials.valid
        if token is not None:
            request.headers[_HEADER] = token

    async def renew(self, rejected: httpx.Request, seconds: float = 0.0) -> bool:
        """Log in again, once for all requests rejected with the same token."""
        return await self._credentials.renew(
            lambda token: _has_token(rejected, token), server_id(rejected), seconds
        )

    def accepted(self, request: httpx.Request) -> None:
        """Record that the API accepted the token of a request."""
        self._credentials.accepted(lambda token: _has_token(request, token), server_id(request))


class PasswordSource:
    """Requests tokens for the project ``project_id`` from IAM."""

    def __init__(
        self, auth: PasswordAuth, project_id: str, *, send: SendRequest, clock: Clock
    ) -> None:
        self._auth = auth
        self._project_id = project_id
        self._send = send
        self._clock = clock

    def fingerprint(self) -> bytes:
        """Return a digest of the password; empty if it cannot be read."""
        try:
            return hashlib.sha256(
                self._auth.password.reveal().encode("utf-8", "surrogatepass")
            ).digest()
        except SecretUnreadableError:
            return b""

    def account(self) -> str:
        """Return IAM endpoint, domain, user and project as JSON."""
        auth = self._auth
        return json.dumps([auth.iam_endpoint, auth.domain, auth.username, self._project_id])

    def to_json(self, credentials: str) -> str:
        """Return the token itself, which needs no encoding."""
        return credentials

    def from_json(self, text: str) -> str:
        """Validate a saved token; raises `LoginFailedError` if it is invalid."""
        return header_value(text, "the saved token")

    async def obtain(self) -> ExpiringCredentials[str]:
        """Log in; raises `LoginFailedError` or one of its subclasses."""
        request = self._request()
        try:
            response = await self._send(request)
        except httpx.RequestError as error:
            raise LoginFailedError(
                f"IAM did not answer the login ({error}): check iam_endpoint, network and proxy"
            ) from None
        if response.status_code in _CREATED:
            token = header_value(
                response.headers.get("x-subject-token"), "the token in IAM's response"
            )
            return expiring_credentials(token, _expires_at(response), response, self._clock.time())
        raise self._problem(response)

    def _problem(self, response: httpx.Response) -> LoginFailedError:
        status = response.status_code
        user = repr(self._auth.username)
        answer = str(status)
        # The message of the response is left out: it could quote the password.
        if (code := ApiError.of(response).code) not in {"", str(status)}:
            answer = f"{status} {code}"
        if not 400 <= status < 500 or status in _NOT_ABOUT_LOGIN:  # noqa: PLR2004
            remedy = _REMEDIES.get(status, "check iam_endpoint and the state of IAM")
            return LoginFailedError(
                f"IAM answered the login of user {user} with {answer}: {remedy}"
            )
        remedy = _REMEDIES.get(status, "check the auth settings")
        refused = f"IAM refused the login of user {user}: {remedy} ({answer})"
        if status in _NOT_ABOUT_PASSWORD:
            return LoginRefusedError(refused)
        return CredentialsRejectedError(refused)

    def _request(self) -> httpx.Request:
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
        return httpx.Request(
            "POST",
            f"{self._auth.iam_endpoint}/v3/auth/tokens?nocatalog=true",
            headers={"content-type": "application/json"},
            # ASCII, because a password from the environment may contain lone surrogates.
            content=json.dumps({"auth": auth}),
        )


def _has_token(request: httpx.Request, token: str) -> bool:
    return bool(request.headers.get(_HEADER) == token)


def _expires_at(response: httpx.Response) -> object:
    body = json_body(response)
    token = body.get("token") if isinstance(body, dict) else None
    return token.get("expires_at") if isinstance(token, dict) else None
