"""Sign requests with a permanent access key pair (AK/SK)."""

import hashlib

import httpx

from exporter.clock import Clock
from exporter.cloud.auth.header_value import header_value
from exporter.cloud.auth.key_lockout import KeyLockout
from exporter.cloud.auth.login import Login, LoginObserver
from exporter.cloud.auth.signature import Keys
from exporter.cloud.auth.signing import Signer, signed_with
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import AkskAuth
from exporter.config.secret import SecretUnreadableError


class AkskLogin(Login):
    """Signs requests with an access key pair, which is read again for each request.

    ``lockout`` counts the rejected signatures of the key pair.
    """

    def __init__(
        self,
        auth: AkskAuth,
        project_id: str,
        *,
        lockout: KeyLockout,
        observer: LoginObserver,
        clock: Clock,
    ) -> None:
        self._auth = auth
        self._observer = observer
        self._lockout = lockout
        self._signer = Signer(project_id, clock=clock)

    async def authorize(self, request: httpx.Request) -> None:
        """Sign a request; raises `LoginFailedError`, also while the key pair is locked out."""
        try:
            keys = self._keys()
        except LoginFailedError:
            self._observer.login_failed()
            raise
        self._lockout.authorize(request, _digest(keys))
        self._signer.sign(request, keys)

    def refresh(self, request: httpx.Request) -> None:
        """Sign a request again; raises as `authorize` does."""
        keys = self._keys()
        if (digest := _digest(keys)) != request.extensions["credential"]:
            self._lockout.authorize(request, digest)
        self._signer.sign(request, keys)

    async def renew(self, rejected: httpx.Request, seconds: float = 0.0) -> bool:
        """Return whether the keys have changed since ``rejected`` was signed."""
        try:
            if not signed_with(rejected, self._keys()):
                return True
        except LoginFailedError:
            return False
        if self._lockout.rejected(rejected, seconds):
            self._observer.login_failed()
        return False

    def accepted(self, request: httpx.Request) -> None:
        """Record that a request's signature was accepted."""
        self._lockout.accepted(request)

    def _keys(self) -> Keys:
        auth = self._auth
        try:
            return Keys(
                access_key=header_value(
                    auth.access_key.reveal(), "the access key (auth.access_key)"
                ),
                secret_key=header_value(
                    auth.secret_key.reveal(), "the secret key (auth.secret_key)"
                ),
                security_token=header_value(
                    auth.security_token.reveal(), "the security token (auth.security_token)"
                )
                if auth.security_token
                else None,
            )
        except SecretUnreadableError as error:
            raise LoginFailedError(str(error)) from None


def _digest(keys: Keys) -> bytes:
    parts = (keys.access_key, keys.secret_key, keys.security_token or "")
    return hashlib.sha256("\0".join(parts).encode()).digest()
