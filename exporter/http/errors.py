"""Errors of HTTP requests.

    RequestError
    ├── NoResponseError         the connection failed, or the deadline passed
    ├── BadResponseError        the response is unusable: too large, or cannot be decoded
    ├── HandshakeRefusedError   the response to a WebSocket handshake opens no WebSocket
    └── LoginFailedError        could not obtain credentials (`exporter.cloud.errors`)

Messages hold no secret, query string or header.
"""

from enum import StrEnum, unique


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
    HELD_UP = "held_up"  # the event loop was blocked past the deadline: the response may be there


class RequestError(Exception):
    """Base of the errors in this package."""


class NoResponseError(RequestError):
    """There is no complete response; ``status`` is that of a partial one, else 0."""

    def __init__(self, reason: NoResponse, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


class BadResponseError(RequestError):
    """The response is unusable; ``status`` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class HandshakeRefusedError(RequestError):
    """The server rejected a WebSocket handshake; ``status`` is the HTTP status of its response."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ConnectionBrokeError(Exception):
    """A new connection broke; ``__cause__`` says why. Internal to the transport."""


class ForbiddenAddressError(OSError):
    """The address is not allowed. An `OSError`, because name resolvers raise those."""
