"""Signs requests, and stops before the cloud locks a key that it refuses."""

import hashlib
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from exporter.clock import Clock
from exporter.cloud.auth.key_lockout import KeyLockout
from exporter.cloud.auth.signature import DATE_FORMAT, Keys, signed_headers
from exporter.http.request import Request

# What neither a proxy nor the transport changes on the way.
_SIGNED = ("host", "content-type", "x-project-id", "x-sdk-date")


class Signer:
    """Signs the requests of one project."""

    def __init__(self, project_id: str, *, lockout: KeyLockout, clock: Clock) -> None:
        """Sign for ``project_id``; ``lockout`` is of the keys."""
        self._project_id = project_id
        self._lockout = lockout
        self._clock = clock

    def sign(self, request: Request, keys: Keys) -> None:
        """Put a signature on a request.

        It covers the path and query that the server decodes, however the transport encodes them;
        only dot segments written as ``%2E`` are not supported. Raises `LoginFailedError` while the
        API keeps refusing these keys, save for one request a while.
        """
        on_trial = self._lockout.on_trial(_digest(keys))
        date = datetime.fromtimestamp(self._clock.time(), UTC).strftime(DATE_FORMAT)
        request.headers["host"] = request.url.host_port_subcomponent or ""
        request.headers["x-sdk-date"] = date
        request.headers["x-project-id"] = self._project_id
        request.headers.popall("x-security-token", None)
        request.headers.update(_signature(request, keys))
        if on_trial:
            self._lockout.try_with(request.headers["authorization"])

    def refused(self, request: Request) -> None:
        """Note that a request signed with the present keys was answered 401."""
        self._lockout.refused(request.headers["authorization"])

    def accepted(self) -> None:
        """Note that a signature was not refused."""
        self._lockout.accepted()


def signed_with(request: Request, keys: Keys) -> bool:
    """Return whether these keys made a request's signature."""
    headers = _signature(request, keys)
    return all(request.headers.get(name) == value for name, value in headers.items())


def _signature(request: Request, keys: Keys) -> dict[str, str]:
    return signed_headers(
        keys,
        method=request.method,
        path=request.url.raw_path,
        query=parse_qsl(request.url.raw_query_string, keep_blank_values=True),
        headers={name: request.headers[name] for name in _SIGNED if name in request.headers},
        body=request.content,
    )


def _digest(keys: Keys) -> bytes:
    parts = (keys.access_key, keys.secret_key, keys.security_token or "")
    return hashlib.sha256("\0".join(parts).encode()).digest()
