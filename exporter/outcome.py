"""How a probe can end, and what that says about the console.

The list is closed: dashboards and alert rules select on these words.
"""

from enum import StrEnum, unique


@unique
class Verdict(StrEnum):
    """What an outcome says about the console."""

    SUCCESS = "success"
    FAILURE = "failure"
    INCONCLUSIVE = "inconclusive"


@unique
class Outcome(StrEnum):
    """How a probe ended."""

    SUCCESS = "success"
    NOT_FOUND = "not_found"
    NOT_READY = "not_ready"
    BAD_REQUEST = "bad_request"
    SERVER_ERROR = "server_error"
    BAD_RESPONSE = "bad_response"
    TIMEOUT = "timeout"
    DNS_ERROR = "dns_error"
    CONNECT_ERROR = "connect_error"
    TLS_ERROR = "tls_error"
    PROTOCOL_ERROR = "protocol_error"
    PAGE_ERROR = "page_error"
    WEBSOCKET_REJECTED = "websocket_rejected"
    RFB_ERROR = "rfb_error"
    THROTTLED = "throttled"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    SKIPPED = "skipped"
    INTERNAL_ERROR = "internal_error"

    @property
    def verdict(self) -> Verdict:
        """Return what this outcome says about the console."""
        if self is Outcome.SUCCESS:
            return Verdict.SUCCESS
        if self in _INCONCLUSIVE:
            return Verdict.INCONCLUSIVE
        return Verdict.FAILURE


# These say something about us, our login or our quota, and nothing about the console.
_INCONCLUSIVE = frozenset(
    {
        Outcome.THROTTLED,
        Outcome.UNAUTHORIZED,
        Outcome.FORBIDDEN,
        Outcome.SKIPPED,
        Outcome.INTERNAL_ERROR,
    }
)
