"""What a simulated cloud is made of, and what goes wrong in it when. Pure values.

All durations are seconds; ``Span`` counts them from the simulator's start.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum, unique

from exporter.simulator.signature import KeyPair


@unique
class Operation(StrEnum):
    """What a client can ask for."""

    REMOTE_CONSOLE = "remote_console"
    LIST_SERVERS = "list_servers"
    CREATE_TOKEN = "create_token"  # noqa: S105 - a name, no secret
    CONSOLE_PAGE = "console_page"
    CONSOLE_WEBSOCKET = "console_websocket"
    CONSOLE_RFB = "console_rfb"  # what the machine says through the WebSocket


CONSOLE_OPERATIONS = frozenset(
    {Operation.CONSOLE_PAGE, Operation.CONSOLE_WEBSOCKET, Operation.CONSOLE_RFB}
)
"""What is asked of the consoles' gateway; the rest is asked of the API."""


@unique
class FaultKind(StrEnum):
    """How an answer can go wrong."""

    STATUS = "status"  # an error status, in one of the cloud's shapes
    SLOW = "slow"  # the right answer, late
    HANG = "hang"  # no answer, the connection stays open
    RESET = "reset"  # the connection is reset before an answer
    DROP = "drop"  # the connection ends in good order before an answer
    GARBAGE = "garbage"  # bytes that are no HTTP, or no RFB
    CUT = "cut"  # the connection ends in the middle of the body
    HTML = "html"  # 200 and a page for people
    EMPTY = "empty"  # 200 and nothing
    BAD_JSON = "bad_json"  # 200 and half a JSON document
    ENDLESS = "endless"  # 200 and a body that goes on and on
    GZIP_BOMB = "gzip_bomb"  # 200 and little that unpacks to very much
    REDIRECT = "redirect"  # 302 to another host
    BAD_URL = "bad_url"  # 200 and an address that is no web page
    CONTENT_TYPE = "content_type"  # the console's page, as application/octet-stream
    NO_UPGRADE = "no_upgrade"  # 200 and a page in place of a WebSocket
    CLOSE = "close"  # the WebSocket is closed before the first byte
    TRICKLE = "trickle"  # the right bytes, one a second
    UNLISTED = "unlisted"  # the servers are missing in the list of servers
    REVOKE_TOKENS = "revoke_tokens"  # all tokens end when the span begins
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the password was changed: log-ins fail
    IAM_DOWN = "iam_down"  # log-ins are answered 503


LOGIN_FAULTS = frozenset({FaultKind.REVOKE_TOKENS, FaultKind.WRONG_PASSWORD, FaultKind.IAM_DOWN})
"""Faults of the login alone, whatever ``operation`` says."""


@unique
class Shape(StrEnum):
    """How an error's body spells its code and message."""

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
    """How a 429 says when to come again."""

    NONE = "none"
    SECONDS = "seconds"
    DATE = "date"


@unique
class QuotaBody(StrEnum):
    """What a 429 says: the gateway's text, CloudDC's own error, nothing, or plain text."""

    APIG = "apig"
    IMETAL = "imetal"
    EMPTY = "empty"
    TEXT = "text"


@unique
class Markers(StrEnum):
    """How a page of the list names the next one."""

    ID = "id"
    URL = "url"


@unique
class WebSocketPath(StrEnum):
    """Where the WebSocket of a console is: beside its page, at the root, or at both."""

    ANY = "any"
    RELATIVE = "relative"
    ROOT = "root"


@dataclass(frozen=True, slots=True)
class Span:
    """When something holds: from ``start`` until ``end``.

    If ``every`` is given, only for the first ``lasting`` seconds of each ``every`` seconds.
    """

    start: float = 0.0
    end: float = math.inf
    every: float | None = None
    lasting: float = math.inf

    def begun(self, now: float) -> float | None:
        """Return when the latest occurrence began, be it over or not; None before the first."""
        if now < self.start:
            return None
        if self.every is None:
            return self.start
        last = min(now, math.nextafter(self.end, 0))
        return self.start + (last - self.start) // self.every * self.every

    def holds(self, now: float) -> bool:
        """Tell whether it holds ``now``."""
        begun = self.begun(now)
        return begun is not None and now < self.end and now - begun < self.lasting


@dataclass(frozen=True, slots=True)
class Latency:
    """Log-normal time to answer: the median in seconds, sigma of the logarithm, and a cap."""

    median: float = 0.0
    sigma: float = 0.0
    cap: float = 10.0


@dataclass(frozen=True, slots=True)
class QuotaSpec:
    """How many requests a project may make, and how the cloud says no."""

    limit: int
    window: int
    kind: QuotaKind = QuotaKind.TOKEN_BUCKET
    retry_after: RetryAfter = RetryAfter.NONE
    body: QuotaBody = QuotaBody.APIG
    active: Span = Span()


@dataclass(frozen=True, slots=True)
class User:
    """Who may log in to a project with a password."""

    name: str
    password: str = field(repr=False)
    domain: str


@dataclass(frozen=True, slots=True)
class Server:
    """One physical server, as far as a scenario says."""

    id: str
    name: str
    manage_state: str = "in-use"
    power_state: str = "on"
    health_state: str = "OK"
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Console:
    """How a project's consoles are opened.

    A token lasts ``token_lifetime`` seconds, and for one WebSocket alone if ``single_use``.
    ``viewers`` is the most that may look at one server at once, None any number.
    """

    token_lifetime: float = 600.0
    single_use: bool = False
    websocket: WebSocketPath = WebSocketPath.ANY
    viewers: int | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """One project: who may ask, how fast it answers, and its servers.

    ``generate`` is the number of servers made up in addition to those listed; ``token_bytes`` is
    the length of a token.
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
    """Something that goes wrong, with whom and when.

    ``servers`` is a glob on name or id, ``fraction`` a share of the servers, always the same ones
    for one seed; ``project`` None means all projects, ``operation`` None all operations of the
    API, none of `CONSOLE_OPERATIONS`. Which of the rest matters depends on ``kind``: ``seconds``
    is what `SLOW` adds, ``url`` is where `REDIRECT` and `BAD_URL` point, ``status``,
    ``error_code`` and ``shape`` make up `STATUS`, ``code`` is that of `CLOSE`.
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
    """How many failures in a row lock an account or a key (0: never), and for how long."""

    failures: int = 5
    account: float = 900.0
    access_key: float = 300.0


@dataclass(frozen=True, slots=True)
class Agency:
    """The metadata service of a simulated machine; its keys open every project.

    ``session_token`` False is a service of the old kind, that knows no token of its own.
    """

    lifetime: float = 3_600.0
    session_token: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole simulated cloud. The same seed makes the same servers, latencies and choices."""

    projects: tuple[Project, ...]
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    lockout: Lockout = Lockout()
    agency: Agency = Agency()
