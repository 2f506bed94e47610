"""Sign the requests of one project."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import httpx

from exporter.clock import Clock
from exporter.cloud.auth.signature import DATE_FORMAT, Keys, signed_headers

# Headers that neither the transport nor a proxy changes.
_SIGNED = ("host", "content-type", "x-project-id", "x-sdk-date")


class Signer:
    """Signs the requests of one project."""

    def __init__(self, project_id: str, *, clock: Clock) -> None:
        self._project_id = project_id
        self._clock = clock

    def sign(self, request: httpx.Request, keys: Keys) -> None:
        """Add a signature to a request.

        It covers path and query as the server decodes them, however the transport encodes them;
        dot segments written as ``%2E`` are not supported.
        """
        date = datetime.fromtimestamp(self._clock.time(), UTC).strftime(DATE_FORMAT)
        request.headers["host"] = request.url.netloc.decode("ascii")
        request.headers["x-sdk-date"] = date
        request.headers["x-project-id"] = self._project_id
        if "x-security-token" in request.headers:
            del request.headers["x-security-token"]
        request.headers.update(_signature(request, keys))


def signed_with(request: httpx.Request, keys: Keys) -> bool:
    """Return whether a request was signed with these keys."""
    headers = _signature(request, keys)
    return all(request.headers.get(name) == value for name, value in headers.items())


def _signature(request: httpx.Request, keys: Keys) -> dict[str, str]:
    return signed_headers(
        keys,
        method=request.method,
        path=request.url.raw_path.partition(b"?")[0].decode("ascii"),
        query=parse_qsl(request.url.query.decode("ascii"), keep_blank_values=True),
        headers={name: request.headers[name] for name in _SIGNED if name in request.headers},
        body=request.read(),
    )
