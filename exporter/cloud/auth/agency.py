"""The login of a cloud machine's agency: temporary keys from the machine's metadata service."""

import json

from exporter.clock import Clock
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials, expiring_credentials
from exporter.cloud.auth.header_value import header_value
from exporter.cloud.auth.key_lockout import KeyLockout
from exporter.cloud.auth.lockout import Lockout
from exporter.cloud.auth.login import LoginObserver, SendRequest
from exporter.cloud.auth.renewal import Renewal, RenewedLogin
from exporter.cloud.auth.signature import Keys
from exporter.cloud.auth.signing import Signer, signed_with
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import AgencyAuth
from exporter.http.errors import RequestError
from exporter.http.request import Request
from exporter.http.response import Response

_OK = 200
_NOT_FOUND = 404
# Metadata services that know no tokens.
_NO_TOKENS = frozenset({404, 405, 503})


class AgencyLogin(RenewedLogin[Keys]):
    """Signs requests with temporary keys."""

    def __init__(
        self,
        auth: AgencyAuth,
        project_id: str,
        *,
        fetch: SendRequest,
        observer: LoginObserver,
        clock: Clock,
    ) -> None:
        """Sign for ``project_id`` with keys from the metadata service, asked through ``fetch``."""
        source = MetadataSource(auth, fetch=fetch, clock=clock)
        super().__init__(Renewal(source, lockout=Lockout(clock), observer=observer, clock=clock))
        self._signer = Signer(project_id, lockout=KeyLockout(clock), clock=clock)

    async def authorize(self, request: Request) -> None:
        """Sign a request; get keys first if need be. Raises `LoginFailedError`."""
        self._signer.sign(request, await self._credentials.current())

    async def renew(self, rejected: Request) -> bool:
        """Get other keys, once for all requests that were rejected with the same ones."""

        def was_sent(keys: Keys) -> bool:
            return signed_with(rejected, keys)

        if self._credentials.holds(was_sent):
            self._signer.refused(rejected)
        return await self._credentials.renew(was_sent)

    def accepted(self, request: Request) -> None:
        """Note that a request's signature was not refused."""
        self._signer.accepted()
        self._credentials.accepted(lambda keys: signed_with(request, keys))


class MetadataSource:
    """Asks the metadata service for the keys of the machine's agency."""

    def __init__(self, auth: AgencyAuth, *, fetch: SendRequest, clock: Clock) -> None:
        """Ask the service at the endpoint of ``auth``."""
        self._endpoint = auth.metadata_endpoint
        self._fetch = fetch
        self._clock = clock

    def fingerprint(self) -> bytes:
        """Return nothing: there is no secret of ours that could change."""
        return b""

    def account(self) -> str:
        """Return where the keys come from; they open every project of the agency."""
        return self._endpoint

    def to_json(self, credentials: Keys) -> str:
        """Return keys as a text."""
        return json.dumps(
            [credentials.access_key, credentials.secret_key, credentials.security_token]
        )

    def from_json(self, text: str) -> Keys:
        """Return keys that were kept; raises `LoginFailedError` where they are none."""
        what = "a key that was kept"
        try:
            access, secret, token = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            raise LoginFailedError(f"{what} cannot be read") from None
        return Keys(
            header_value(access, what), header_value(secret, what), header_value(token, what)
        )

    async def obtain(self) -> ExpiringCredentials[Keys]:
        """Get keys; raises `LoginFailedError`."""
        headers = await self._token_header()
        response = await self._ask("GET", "/openstack/latest/securitykey", headers)
        if response.status == _NOT_FOUND:
            raise LoginFailedError(
                "the metadata service has no keys: check that an agency is bound to this machine"
            )
        if response.status != _OK:
            raise LoginFailedError(f"the metadata service answered {response.status} for keys")
        body = response.json()
        credential = body.get("credential") if isinstance(body, dict) else None
        if not isinstance(credential, dict):
            raise LoginFailedError("the metadata service's answer holds no credential")
        keys = Keys(
            access_key=header_value(credential.get("access"), "the metadata's access key"),
            secret_key=header_value(credential.get("secret"), "the metadata's secret key"),
            security_token=header_value(
                credential.get("securitytoken"), "the metadata's security token"
            ),
        )
        return expiring_credentials(
            keys, credential.get("expires_at"), response, self._clock.time()
        )

    async def _token_header(self) -> dict[str, str]:
        response = await self._ask(
            "PUT",
            "/meta-data/latest/api/token",
            {"x-metadata-token-ttl-seconds": "21600"},
        )
        if response.status in _NO_TOKENS:
            return {}
        if response.status != _OK:
            raise LoginFailedError(f"the metadata service answered {response.status} for a token")
        token = response.body.decode("latin-1").strip()
        return {"x-metadata-token": header_value(token, "the metadata service's token")}

    async def _ask(self, method: str, path: str, headers: dict[str, str]) -> Response:
        request = Request.to(method, f"{self._endpoint}{path}", headers)
        try:
            return await self._fetch(request)
        except RequestError as error:
            raise LoginFailedError(f"no answer of the metadata service: {error}") from None
