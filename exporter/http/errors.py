"""Why the cloud gave no usable answer.

    CloudError
    ├── NoAnswerError           the connection failed, or the time ran out
    ├── BadAnswerError          an answer came that cannot be used: too large, undecodable
    ├── HandshakeRefusedError   an answer came, but no WebSocket
    └── LoginFailedError        no credentials could be had to ask with

No message holds a secret, a query string or a header.
"""

from enum import StrEnum, unique


@unique
class NoResponse(StrEnum):
    """Where the way to an answer ended."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    EXHAUSTED = "exhausted"  # we had no file descriptor or memory to connect with
    FORBIDDEN = "forbidden"  # by us: it would have led where nothing may be connected to
    CLOSED = "closed"  # the connection ended before the first byte of an answer
    PROTOCOL = "protocol"
    TIMEOUT = "timeout"
    HELD_UP = "held_up"  # the time ran out while we were busy: an answer may have been there


class RequestError(Exception):
    """Base of all errors of this room."""


class NoResponseError(RequestError):
    """No complete answer came; ``status`` is that of a partial one, else 0."""

    def __init__(self, reason: NoResponse, message: str, status: int = 0) -> None:
        """Keep the machine-readable reason beside the message for people."""
        super().__init__(message)
        self.reason = reason
        self.status = status


class BadResponseError(RequestError):
    """An answer came that cannot be used; ``status`` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the status beside the message for people."""
        super().__init__(message)
        self.status = status


class HandshakeRefusedError(RequestError):
    """A WebSocket was asked for and not given; ``status`` is the answer's HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the status beside the message for people."""
        super().__init__(message)
        self.status = status


class ConnectionBrokeError(Exception):
    """A new connection broke; why is its cause. Never leaves the transport."""


class ForbiddenAddressError(OSError):
    """Nothing may be connected to there; an `OSError` because name resolvers raise that."""
