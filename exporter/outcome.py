"""Outcomes of a probe and the verdict that follows from each.

The list is closed: dashboards and alert rules select on these values.
"""

from enum import StrEnum, unique


@unique
class Verdict(StrEnum):
    """What an outcome proves about the console."""

    SUCCESS = "success"
    FAILURE = "failure"
    INCONCLUSIVE = "inconclusive"


@unique
class Outcome(StrEnum):
    """Result category of a probe, the label ``outcome``."""

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
    UNREACHABLE = "unreachable"
    WRONG_ENDPOINT = "wrong_endpoint"
    SKIPPED = "skipped"
    BUSY = "busy"
    INTERNAL_ERROR = "internal_error"

    @property
    def verdict(self) -> Verdict:
        """Return the verdict that follows from this outcome."""
        if self is Outcome.SUCCESS:
            return Verdict.SUCCESS
        if self in _INCONCLUSIVE:
            return Verdict.INCONCLUSIVE
        return Verdict.FAILURE


# These concern the exporter, its network, login or quota, or how many viewers a console has at the
# moment. They do not prove that it is broken.
_INCONCLUSIVE = frozenset(
    {
        Outcome.THROTTLED,
        Outcome.UNAUTHORIZED,
        Outcome.FORBIDDEN,
        Outcome.UNREACHABLE,
        Outcome.WRONG_ENDPOINT,
        Outcome.SKIPPED,
        Outcome.BUSY,
        Outcome.INTERNAL_ERROR,
    }
)
