"""Sign requests with a cloud machine's temporary keys from its metadata service (agency)."""

import json

import httpx

from exporter.clock import Clock
from exporter.cloud.auth.expiring_credentials import ExpiringCredentials, expiring_credentials
from exporter.cloud.auth.header_value import header_value
from exporter.cloud.auth.lockout import Lockout
from exporter.cloud.auth.login import LoginObserver, SendRequest, server_id
from exporter.cloud.auth.renewal import Renewal
from exporter.cloud.auth.renewed_login import RenewedLogin
from exporter.cloud.auth.signature import Keys
from exporter.cloud.auth.signing import Signer, signed_with
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import AgencyAuth
from exporter.http.json_body import json_body

_OK = 200
_NOT_FOUND = 404
# Status of metadata services that do not support tokens.
_NO_TOKENS = frozenset({404, 405, 503})


class AgencyLogin(RenewedLogin[Keys]):
    """Signs requests with temporary keys, fetched from the metadata service."""

    def __init__(
        self,
        auth: AgencyAuth,
        project_id: str,
        *,
        fetch: SendRequest,
        observer: LoginObserver,
        clock: Clock,
    ) -> None:
        source = MetadataSource(auth, fetch=fetch, clock=clock)
        super().__init__(Renewal(source, lockout=Lockout(clock), observer=observer, clock=clock))
        self._signer = Signer(project_id, clock=clock)

    async def authorize(self, request: httpx.Request) -> None:
        """Sign a request; fetch keys first if necessary. Raises `LoginFailedError`."""
        self._signer.sign(request, await self._credentials.current(server_id(request)))

    def refresh(self, request: httpx.Request) -> None:
        """Sign a request again, with the current keys; raises `LoginFailedError`."""
        keys = self._credentials.valid
        if keys is not None:
            self._signer.sign(request, keys)

    async def renew(self, rejected: httpx.Request, seconds: float = 0.0) -> bool:
        """Fetch new keys, once for all requests rejected with the same keys."""
        return await self._credentials.renew(
            lambda keys: signed_with(rejected, keys), server_id(rejected), seconds
        )

    def accepted(self, request: httpx.Request) -> None:
        """Record that a request's signature was accepted."""
        self._credentials.accepted(lambda keys: signed_with(request, keys), server_id(request))


class MetadataSource:
    """Fetches the keys of the machine's agency from the metadata service."""

    def __init__(self, auth: AgencyAuth, *, fetch: SendRequest, clock: Clock) -> None:
        self._endpoint = auth.metadata_endpoint
        self._fetch = fetch
        self._clock = clock

    def fingerprint(self) -> bytes:
        """Return an empty digest: an agency has no configured secret."""
        return b""

    def account(self) -> str:
        """Return the metadata endpoint; its keys are valid for every project of the agency."""
        return self._endpoint

    def to_json(self, credentials: Keys) -> str:
        """Return keys as JSON."""
        return json.dumps(
            [credentials.access_key, credentials.secret_key, credentials.security_token]
        )

    def from_json(self, text: str) -> Keys:
        """Parse the output of `to_json`; raises `LoginFailedError` if it is invalid."""
        what = "a saved key"
        try:
            access, secret, token = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            raise LoginFailedError(f"{what} is not valid JSON") from None
        return Keys(
            header_value(access, what), header_value(secret, what), header_value(token, what)
        )

    async def obtain(self) -> ExpiringCredentials[Keys]:
        """Fetch keys; raises `LoginFailedError`."""
        headers = await self._token_header()
        response = await self._request("GET", "/openstack/latest/securitykey", headers)
        if response.status_code == _NOT_FOUND:
            raise LoginFailedError(
                "the metadata service has no keys: check that an agency is bound to this machine"
            )
        if response.status_code != _OK:
            raise LoginFailedError(
                f"the metadata service answered the request for keys with {response.status_code}: "
                "check metadata_endpoint"
            )
        body = json_body(response)
        credential = body.get("credential") if isinstance(body, dict) else None
        if not isinstance(credential, dict):
            raise LoginFailedError(
                "the metadata service's response has no credential: check metadata_endpoint"
            )
        keys = Keys(
            access_key=header_value(
                credential.get("access"), "the access key of the metadata service"
            ),
            secret_key=header_value(
                credential.get("secret"), "the secret key of the metadata service"
            ),
            security_token=header_value(
                credential.get("securitytoken"), "the security token of the metadata service"
            ),
        )
        return expiring_credentials(
            keys, credential.get("expires_at"), response, self._clock.time()
        )

    async def _token_header(self) -> dict[str, str]:
        response = await self._request(
            "PUT",
            "/meta-data/latest/api/token",
            {"x-metadata-token-ttl-seconds": "21600"},
        )
        if response.status_code in _NO_TOKENS:
            return {}
        if response.status_code != _OK:
            raise LoginFailedError(
                "the metadata service answered the request for a token with "
                f"{response.status_code}: check metadata_endpoint"
            )
        token = response.content.decode("latin-1").strip()
        return {
            "x-metadata-token": header_value(token, "the session token of the metadata service")
        }

    async def _request(self, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        request = httpx.Request(method, f"{self._endpoint}{path}", headers=headers)
        try:
            return await self._fetch(request)
        except httpx.RequestError as error:
            raise LoginFailedError(
                f"the metadata service did not answer ({error}): check metadata_endpoint, and that "
                "the exporter runs on a machine of the cloud"
            ) from None
