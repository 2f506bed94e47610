"""Why a request got no usable response: httpx's exceptions, with our reasons on them.

    httpx.RequestError
    ├── httpx.TransportError
    │   └── NoResponseError             there is no complete response; `reason` says why
    │       ├── ConnectFailedError      is an `httpx.ConnectError` too
    │       ├── ProxyFailedError        is an `httpx.ProxyError` too
    │       ├── DeadlineExceededError   is an `httpx.ReadTimeout` too
    │       ├── ConnectionClosedError   is an `httpx.ReadError` too
    │       └── MalformedResponseError  is an `httpx.RemoteProtocolError` too
    ├── BadResponseError                the response cannot be used: too large, not decodable; an
    │                                   `httpx.DecodingError`
    ├── HandshakeRefusedError           the response to a WebSocket handshake opens no WebSocket
    └── LoginFailedError                no credentials (`exporter.cloud.errors`)

Messages hold no secret, query string or header.
"""

from enum import StrEnum, unique

import httpx


@unique
class NoResponse(StrEnum):
    """Why there is no complete response."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    EXHAUSTED = "exhausted"  # this machine is out of file descriptors, memory or ports
    FORBIDDEN = "forbidden"  # the allow-list forbids connecting to this address
    CLOSED = "closed"  # the connection ended before the first byte of a response
    PROTOCOL = "protocol"
    TIMEOUT = "timeout"
    BLOCKED = "blocked"  # the event loop was blocked past the deadline: the response may be there


class NoResponseError(httpx.TransportError):
    """There is no complete response.

    ``status`` is that of a partial response, else 0. ``stale`` tells that the request went over a
    kept connection which ended before the first byte: it may be repeated on a new one.
    """

    def __init__(
        self, reason: NoResponse, message: str, status: int = 0, *, stale: bool = False
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.stale = stale


class ConnectFailedError(NoResponseError, httpx.ConnectError):
    """No connection: the name, the address, TLS, or a limit of this machine."""


class ProxyFailedError(NoResponseError, httpx.ProxyError):
    """The proxy cannot be reached, or opens no tunnel."""


class DeadlineExceededError(NoResponseError, httpx.ReadTimeout):
    """The response is not complete within the deadline."""


class ConnectionClosedError(NoResponseError, httpx.ReadError):
    """The connection ended before the first byte of a response."""


class MalformedResponseError(NoResponseError, httpx.RemoteProtocolError):
    """The response is cut, or is not HTTP."""


_CLASSES: dict[NoResponse, type[NoResponseError]] = {
    NoResponse.DNS: ConnectFailedError,
    NoResponse.CONNECT: ConnectFailedError,
    NoResponse.TLS: ConnectFailedError,
    NoResponse.EXHAUSTED: ConnectFailedError,
    NoResponse.FORBIDDEN: ConnectFailedError,
    NoResponse.CLOSED: ConnectionClosedError,
    NoResponse.PROTOCOL: MalformedResponseError,
    NoResponse.TIMEOUT: DeadlineExceededError,
    NoResponse.BLOCKED: DeadlineExceededError,
}


def no_response(
    reason: NoResponse, message: str, status: int = 0, *, stale: bool = False
) -> NoResponseError:
    """Return the exception for a reason."""
    return _CLASSES[reason](reason, message, status, stale=stale)


class BadResponseError(httpx.DecodingError):
    """The response cannot be used; ``status`` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class HandshakeRefusedError(httpx.RequestError):
    """The server rejected a WebSocket handshake; ``status`` is the HTTP status of its response."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ForbiddenAddressError(OSError):
    """The address is not allowed. An `OSError`, because name resolvers raise those."""
