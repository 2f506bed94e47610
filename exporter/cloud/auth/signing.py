"""Signs requests, and stops before the cloud locks a key that it refuses."""

import hashlib
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from exporter.clock import Clock
from exporter.cloud.auth.setback import Setback
from exporter.cloud.auth.signature import DATE_FORMAT, Keys, signed_headers
from exporter.cloud.request import Request

# More than five failed signatures lock a key for five minutes.
_MAX_REFUSALS = 3
_LOCK_FIRST, _LOCK_LAST = 60.0, 300.0
# What neither a proxy nor the transport changes on the way.
_SIGNED = ("host", "content-type", "x-project-id", "x-sdk-date")


class Signer:
    """Signs the requests of one project."""

    def __init__(self, project_id: str, *, clock: Clock) -> None:
        """Sign for ``project_id``."""
        self._project_id = project_id
        self._clock = clock
        self._lock = Setback(clock, first=_LOCK_FIRST, last=_LOCK_LAST)
        self._keys = b""
        self._refusals = 0
        # The signature of the request that was let through to see whether the keys are taken now.
        self._trial = ""

    def sign(self, request: Request, keys: Keys) -> None:
        """Put a signature on a request.

        It covers the path and query that the server decodes, however the transport encodes them;
        only dot segments written as ``%2E`` are not supported. Raises `LoginFailedError` while the
        API keeps refusing these keys, save for one request a while.
        """
        on_trial = self._on_trial(keys)
        date = datetime.fromtimestamp(self._clock.time(), UTC).strftime(DATE_FORMAT)
        request.headers["host"] = request.url.host_port_subcomponent or ""
        request.headers["x-sdk-date"] = date
        request.headers["x-project-id"] = self._project_id
        request.headers.popall("x-security-token", None)
        request.headers.update(_signature(request, keys))
        if on_trial:
            self._trial = request.headers["authorization"]

    def refused(self, request: Request) -> None:
        """Note that a request signed with the present keys was answered 401."""
        if self._refusals < _MAX_REFUSALS:
            self._refusals += 1
            if self._refusals < _MAX_REFUSALS:
                return
        elif request.headers["authorization"] != self._trial:
            # Under way since before the keys were held back: says nothing new.
            return
        self._lock.note(
            f"the API refused {_MAX_REFUSALS} signatures in a row: check the keys, and that this "
            "machine's clock is right"
        )

    def accepted(self) -> None:
        """Note that a signature was not refused."""
        self._refusals = 0
        self._lock.clear()

    def _on_trial(self, keys: Keys) -> bool:
        """Return whether a request with these keys is let through as the only one for a while."""
        digest = _digest(keys)
        if digest != self._keys:
            self._keys = digest
            self.accepted()
        if self._refusals < _MAX_REFUSALS:
            return False
        if self._lock.seconds_left() > 0:
            raise self._lock.error()
        self._lock.hold()
        return True


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
