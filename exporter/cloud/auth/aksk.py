"""Sign requests with a permanent access key pair (AK/SK)."""

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
        self._signer = Signer(project_id, lockout=lockout, clock=clock)

    async def authorize(self, request: httpx.Request) -> None:
        """Sign a request; raises `LoginFailedError`, also while the key pair is locked out."""
        try:
            keys = self._keys()
        except LoginFailedError:
            self._observer.login_failed()
            raise
        self._signer.sign(request, keys)

    def refresh(self, request: httpx.Request) -> None:
        """Sign a request again; raises as `authorize` does."""
        self._signer.sign(request, self._keys())

    async def renew(self, rejected: httpx.Request) -> bool:
        """Return whether the keys have changed since ``rejected`` was signed."""
        try:
            if not signed_with(rejected, self._keys()):
                return True
        except LoginFailedError:
            return False
        self._signer.rejected(rejected)
        self._observer.login_failed()
        return False

    def accepted(self, request: httpx.Request) -> None:  # noqa: ARG002 - the protocol's signature
        """Record that a request's signature was accepted."""
        self._signer.accepted()

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
