"""The data model of a scenario: projects, servers, quotas and faults.

All durations are in seconds; those of a ``Span`` count from the simulator's start.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum, unique

from exporter.simulator.signature import KeyPair


@unique
class Operation(StrEnum):
    """An operation that a client can request."""

    REMOTE_CONSOLE = "remote_console"
    LIST_SERVERS = "list_servers"
    CREATE_TOKEN = "create_token"  # noqa: S105 - a name, no secret
    CONSOLE_PAGE = "console_page"
    CONSOLE_WEBSOCKET = "console_websocket"
    CONSOLE_RFB = "console_rfb"  # the server's first bytes, sent through the WebSocket


CONSOLE_OPERATIONS = frozenset(
    {Operation.CONSOLE_PAGE, Operation.CONSOLE_WEBSOCKET, Operation.CONSOLE_RFB}
)
"""Operations of the consoles' gateway; all others are operations of the API."""


@unique
class FaultKind(StrEnum):
    """A kind of fault."""

    STATUS = "status"  # an error status, in one of the cloud's formats
    SLOW = "slow"  # the correct response, delayed
    HANG = "hang"  # no response, the connection stays open
    RESET = "reset"  # the connection is reset before a response
    DROP = "drop"  # the connection is closed before a response
    GARBAGE = "garbage"  # bytes that are not HTTP, or not RFB
    CUT = "cut"  # the connection is closed in the middle of the body
    HTML = "html"  # status 200 and an HTML login page
    EMPTY = "empty"  # status 200 and an empty body
    BAD_JSON = "bad_json"  # status 200 and half a JSON document
    ENDLESS = "endless"  # status 200 and a body that does not end
    GZIP_BOMB = "gzip_bomb"  # status 200 and a small body that decompresses to a huge one
    REDIRECT = "redirect"  # a redirect (302) to another host
    BAD_URL = "bad_url"  # status 200 and a console address that is not http or https
    CONTENT_TYPE = "content_type"  # the console's page with content type application/octet-stream
    NO_UPGRADE = "no_upgrade"  # status 200 and a page instead of a WebSocket
    CLOSE = "close"  # the WebSocket is closed before the first byte
    TRICKLE = "trickle"  # the correct bytes, one per second
    UNLISTED = "unlisted"  # the servers are missing from the list of servers
    REVOKE_TOKENS = "revoke_tokens"  # all tokens are revoked when the span starts
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the password was changed: logins fail
    IAM_DOWN = "iam_down"  # logins get status 503


LOGIN_FAULTS = frozenset({FaultKind.REVOKE_TOKENS, FaultKind.WRONG_PASSWORD, FaultKind.IAM_DOWN})
"""Faults that apply only to logins and ignore ``operation``."""


@unique
class Shape(StrEnum):
    """The format of an error's body."""

    SNAKE = "snake"  # {"error_code", "error_msg", "request_id"}
    CAMEL = "camel"  # {"errorCode", "errorMsg"}
    SHORT = "short"  # {"code", "message"}
    NESTED = "nested"  # {"error": {"code", "message", "title"}}, as IAM does
    TEXT = "text"
    EMPTY = "empty"


@unique
class QuotaKind(StrEnum):
    """How a quota is counted."""

    TOKEN_BUCKET = "token_bucket"  # noqa: S105 - a name, no secret
    FIXED_WINDOW = "fixed_window"


@unique
class RetryAfter(StrEnum):
    """The format of ``Retry-After`` in a 429."""

    NONE = "none"
    SECONDS = "seconds"
    DATE = "date"


@unique
class QuotaBody(StrEnum):
    """The body of a 429: the gateway's error, CloudDC's own error, nothing, or plain text."""

    APIG = "apig"
    IMETAL = "imetal"
    EMPTY = "empty"
    TEXT = "text"


@unique
class Markers(StrEnum):
    """The format of a list's page markers."""

    ID = "id"
    URL = "url"


@unique
class WebSocketPath(StrEnum):
    """The path of a console's WebSocket: relative to its page, at the root, or both."""

    ANY = "any"
    RELATIVE = "relative"
    ROOT = "root"


@dataclass(frozen=True, slots=True)
class Span:
    """The time from ``start`` until ``end``.

    With ``every``, only the first ``lasting`` seconds of each ``every`` seconds.
    """

    start: float = 0.0
    end: float = math.inf
    every: float | None = None
    lasting: float = math.inf

    def last_start(self, now: float) -> float | None:
        """Return the start of the latest occurrence, ended or not; None before the first."""
        if now < self.start:
            return None
        if self.every is None:
            return self.start
        last = min(now, math.nextafter(self.end, 0))
        return self.start + (last - self.start) // self.every * self.every

    def contains(self, now: float) -> bool:
        """Return whether ``now`` is within the span."""
        last_start = self.last_start(now)
        return last_start is not None and now < self.end and now - last_start < self.lasting


@dataclass(frozen=True, slots=True)
class Latency:
    """Log-normal latency: the median in seconds, sigma of the logarithm, and a cap."""

    median: float = 0.0
    sigma: float = 0.0
    cap: float = 10.0


@dataclass(frozen=True, slots=True)
class QuotaSpec:
    """The quota of a project: requests per ``window`` seconds, and the format of its 429."""

    limit: int
    window: int
    kind: QuotaKind = QuotaKind.TOKEN_BUCKET
    retry_after: RetryAfter = RetryAfter.NONE
    body: QuotaBody = QuotaBody.APIG
    active: Span = Span()


@dataclass(frozen=True, slots=True)
class User:
    """A user who may log in to a project with a password."""

    name: str
    password: str = field(repr=False)
    domain: str


@dataclass(frozen=True, slots=True)
class Server:
    """One physical server."""

    id: str
    name: str
    manage_state: str = "in-use"
    power_state: str = "on"
    health_state: str = "OK"
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Console:
    """The settings of a project's consoles.

    A token is valid for ``token_lifetime`` seconds, and for one WebSocket only if ``single_use``.
    ``viewers`` is the maximum of concurrent viewers of one server; None means no maximum.
    """

    token_lifetime: float = 600.0
    single_use: bool = False
    websocket: WebSocketPath = WebSocketPath.ANY
    viewers: int | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """One project: its credentials, latency, quota and servers.

    ``generate`` is the number of servers to generate in addition to those listed; ``token_bytes``
    is the length of a token.
    """

    name: str
    region: str
    project_id: str
    users: tuple[User, ...] = ()
    access_keys: tuple[KeyPair, ...] = ()
    token_lifetime: float = 86_400.0
    token_bytes: int = 3_000
    latency: Latency = Latency()
    quota: QuotaSpec | None = None
    servers: tuple[Server, ...] = ()
    generate: int = 0
    markers: Markers = Markers.ID
    console: Console = Console()


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: its kind, the requests it affects, and when it is active.

    ``servers`` is a glob on name or ID, ``fraction`` a share of the servers, always the same ones
    for one seed; ``project`` None means all projects, ``operation`` None all operations of the
    API but none of `CONSOLE_OPERATIONS`. The other fields belong to certain kinds: ``seconds`` to
    `SLOW`, ``url`` to `REDIRECT` and `BAD_URL`, ``status``, ``error_code`` and ``shape`` to
    `STATUS`, ``code`` to `CLOSE`.
    """

    kind: FaultKind
    servers: str | None = None
    fraction: float | None = None
    project: str | None = None
    operation: Operation | None = Operation.REMOTE_CONSOLE
    active: Span = Span()
    status: int = 500
    error_code: str | None = None
    shape: Shape | None = None
    seconds: float = 0.0
    url: str | None = None
    code: int = 1011


@dataclass(frozen=True, slots=True)
class Lockout:
    """Failures in a row that lock an account or a key (0: never), and seconds until unlock."""

    failures: int = 5
    account: float = 900.0
    access_key: float = 300.0


@dataclass(frozen=True, slots=True)
class Agency:
    """The metadata service of a simulated machine; its keys are valid for every project.

    ``session_token`` False simulates the old version of the service, without session tokens.
    """

    lifetime: float = 3_600.0
    session_token: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """A simulated cloud. The seed determines generated servers, latencies and fractions."""

    projects: tuple[Project, ...]
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    lockout: Lockout = Lockout()
    agency: Agency = Agency()
