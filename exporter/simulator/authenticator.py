"""Authenticate API requests by token or signature and find the projects they may access."""

from hmac import compare_digest

from exporter.simulator.access_keys import AccessKeys
from exporter.simulator.faults import Faults
from exporter.simulator.lockout import Failures
from exporter.simulator.replies import Reply, error_reply
from exporter.simulator.scenario import KeyPair
from exporter.simulator.signature import (
    AuthorizationHeader,
    SignedRequest,
    is_signed_by,
    signed_at,
)
from exporter.simulator.tokens import Tokens

_SKEW_MAX = 15 * 60
_INCORRECT = "APIGW.0301"
_EXPIRED = "APIGW.0307"


class Authenticator:
    """Check tokens and signatures."""

    def __init__(
        self, tokens: Tokens, access_keys: AccessKeys, faults: Faults, failures: Failures
    ) -> None:
        self._tokens = tokens
        self._access_keys = access_keys
        self._faults = faults
        self._failures = failures

    def check(
        self, request: SignedRequest, now: float, unix_time: float, request_id: str
    ) -> frozenset[str] | Reply:
        """Return the names of the projects that the caller may access, or the error response."""
        token = request.headers.get("X-Auth-Token")
        if token is not None:
            return self._check_token(token, now, request_id)
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            return self._check_signature(authorization, request, now, unix_time, request_id)
        return _incorrect("x-auth-token not found", request_id)

    def _check_token(self, text: str, now: float, request_id: str) -> frozenset[str] | Reply:
        token = self._tokens.find(text)
        if token is None:
            return _incorrect("decrypt token fail", request_id)
        revoked_at = self._faults.tokens_revoked_at(token.project, now)
        if revoked_at is not None and token.issued_at < revoked_at:
            return _incorrect("the token has been revoked", request_id)
        if now >= token.expires_at:
            return error_reply(401, request_id, code=_EXPIRED)
        return frozenset({token.project})

    def _check_signature(
        self,
        authorization: str,
        request: SignedRequest,
        now: float,
        unix_time: float,
        request_id: str,
    ) -> frozenset[str] | Reply:
        header = AuthorizationHeader.parse(authorization)
        date = signed_at(request)
        if header is None or date is None:
            return _incorrect("signature expected", request_id)
        if abs(unix_time - date) > _SKEW_MAX:
            return _incorrect("the signature is expired", request_id)
        key = self._access_keys.find(header.access_key)
        if key is None:
            return _incorrect("the access key does not exist", request_id)
        error = self._signature_error(header, key.pair, request, now)
        if error is not None:
            return _incorrect(error, request_id)
        if key.expires_at is not None and now >= key.expires_at:
            return error_reply(401, request_id, code=_EXPIRED)
        return key.projects

    def _signature_error(
        self, header: AuthorizationHeader, pair: KeyPair, request: SignedRequest, now: float
    ) -> str | None:
        """Return the error of a signature made with a known key, and count wrong signatures."""
        if self._failures.locked(header.access_key, now):
            return "the access key is locked"
        if not is_signed_by(pair.secret_key, header, request):
            self._failures.failed(header.access_key, now)
            return "verify aksk signature fail"
        self._failures.succeeded(header.access_key)
        given = request.headers.get("X-Security-Token", "").encode("latin-1")
        if not compare_digest(given, pair.security_token.encode()):
            return "the security token is wrong"
        return None


def _incorrect(reason: str, request_id: str) -> Reply:
    message = f"Incorrect IAM authentication information: {reason}"
    return error_reply(401, request_id, code=_INCORRECT, message=message)
