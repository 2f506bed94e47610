"""The data model of a scenario: projects, servers, quotas and faults.

The models are the format of scenario files. All durations are in seconds.
"""

import math
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum, unique
from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator

from exporter.simulator.section import (
    NOT_NULL,
    Count,
    Identifier,
    PositiveSeconds,
    Seconds,
    Section,
    Text,
    WholeSeconds,
    wrong,
)


@unique
class Operation(StrEnum):
    """An operation that a client can request."""

    REMOTE_CONSOLE = "remote_console"
    LIST_SERVERS = "list_servers"
    CREATE_TOKEN = "create_token"  # noqa: S105 - a name, no secret
    CONSOLE_PAGE = "console_page"
    CONSOLE_WEBSOCKET = "console_websocket"
    CONSOLE_RFB = "console_rfb"  # the server's bytes through the WebSocket
    ANY = "any"  # in a fault: all operations of the API


CONSOLE_OPERATIONS = frozenset(
    {Operation.CONSOLE_PAGE, Operation.CONSOLE_WEBSOCKET, Operation.CONSOLE_RFB}
)
"""Operations of the consoles' gateway."""
API_OPERATIONS = frozenset(Operation) - CONSOLE_OPERATIONS - {Operation.ANY}
"""Operations of the API."""


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
    REFUSE = "refuse"  # no security types but a reason, after the viewer's version
    BUSY = "busy"  # too many security failures, without waiting for the viewer's version
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


class Scheduled(Section):
    """Something that is active from ``start`` until ``end``, counted from the simulator's start.

    With ``every``, only in the first ``lasting`` seconds of each ``every`` seconds.
    """

    start: Seconds = Field(default=0.0, validation_alias="from")
    end: Seconds = Field(default=math.inf, validation_alias="until")
    every: PositiveSeconds = math.inf
    lasting: PositiveSeconds = Field(default=math.inf, validation_alias="for")

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.end <= self.start:
            raise wrong("must be later than from", "until")
        if math.isinf(self.every) != math.isinf(self.lasting):
            raise wrong("every and for need each other")
        if self.lasting > self.every:
            raise wrong("must not be longer than every", "for")
        return self

    def last_start(self, now: float) -> float | None:
        """Return the start of the latest occurrence, ended or not; None before the first."""
        if now < self.start:
            return None
        if math.isinf(self.every):
            return self.start
        last = min(now, math.nextafter(self.end, 0))
        return self.start + (last - self.start) // self.every * self.every

    def active_at(self, now: float) -> bool:
        """Return whether it is active at ``now``."""
        last_start = self.last_start(now)
        return last_start is not None and now < self.end and now - last_start < self.lasting


_ANY_KINDS = {FaultKind.SLOW, FaultKind.HANG, FaultKind.RESET, FaultKind.DROP, FaultKind.GARBAGE}
_HTTP_KINDS = {
    *(FaultKind.STATUS, FaultKind.CUT, FaultKind.EMPTY, FaultKind.ENDLESS, FaultKind.GZIP_BOMB),
    FaultKind.REDIRECT,
}
_API_KINDS = {*_ANY_KINDS, *_HTTP_KINDS, FaultKind.HTML, FaultKind.BAD_JSON, FaultKind.BAD_URL}
_CONSOLE_KINDS = {
    Operation.CONSOLE_PAGE: {*_ANY_KINDS, *_HTTP_KINDS, FaultKind.CONTENT_TYPE},
    Operation.CONSOLE_WEBSOCKET: {*_ANY_KINDS, FaultKind.STATUS, FaultKind.NO_UPGRADE},
    Operation.CONSOLE_RFB: {
        *(*_ANY_KINDS, FaultKind.ENDLESS, FaultKind.CLOSE, FaultKind.TRICKLE),
        *(FaultKind.REFUSE, FaultKind.BUSY),
    },
}
_PER_SERVER_OPERATIONS = {Operation.REMOTE_CONSOLE, *CONSOLE_OPERATIONS}
_TARGET = {"servers", "fraction"}
_API_ERROR = {"error_code", "shape"}
_SETTINGS = {
    FaultKind.STATUS: {"status", *_API_ERROR},
    FaultKind.SLOW: {"seconds"},
    FaultKind.CLOSE: {"code"},
    FaultKind.REFUSE: {"reason"},
    FaultKind.REDIRECT: {"url"},
    FaultKind.BAD_URL: {"url"},
}
_REQUIRED = {FaultKind.STATUS: "status", FaultKind.SLOW: "seconds"}


class Fault(Scheduled):
    """A fault: its kind, the requests it affects, and when it is active.

    ``servers`` is a glob on name or ID, ``fraction`` a share of the servers, always the same ones
    for one seed; without both it affects all requests, without ``project`` all projects. The other
    fields belong to certain kinds: ``seconds`` to `SLOW`, ``url`` to `REDIRECT` and `BAD_URL`,
    ``status``, ``error_code`` and ``shape`` to `STATUS`, ``code`` to `CLOSE`, ``reason`` to
    `REFUSE`.
    """

    kind: FaultKind
    servers: Text = ""
    fraction: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0
    project: Text = ""
    operation: Operation = Operation.REMOTE_CONSOLE
    status: Annotated[int, Field(strict=True, ge=400, le=599)] = 500
    error_code: Text = ""
    shape: Annotated[Shape | None, NOT_NULL] = None
    seconds: Seconds = 0.0
    url: Text = ""
    code: Annotated[int, Field(strict=True, ge=1000, le=4999)] = 1011
    reason: Text = "No supported security types"

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        known = {"kind", "project", *Scheduled.model_fields}
        if self.kind is FaultKind.UNLISTED:
            known |= _TARGET
        elif self.kind not in LOGIN_FAULTS:
            self._check_operation()
            known |= {"operation", *_TARGET, *_SETTINGS.get(self.kind, ())}
            if self.operation in CONSOLE_OPERATIONS:
                known -= _API_ERROR
        for key in type(self).model_fields:
            if key in self.model_fields_set - known:
                raise wrong("unknown key", key)
        required = _REQUIRED.get(self.kind)
        if required and required not in self.model_fields_set:
            raise wrong("missing", required)
        return self

    def _check_operation(self) -> None:
        kinds = _CONSOLE_KINDS.get(self.operation, _API_KINDS)
        if self.kind not in kinds:
            names = ", ".join(kind for kind in FaultKind if kind in kinds)
            raise wrong(f"{self.operation} supports only {names}, not {self.kind}", "kind")
        if self.model_fields_set & _TARGET and self.operation not in _PER_SERVER_OPERATIONS:
            raise wrong("servers and fraction need the operation remote_console or console_*")


class QuotaSpec(Scheduled):
    """The quota of a project: requests per ``window`` seconds, and the format of its 429."""

    limit: Annotated[Count, Field(ge=1)]
    window: WholeSeconds
    kind: QuotaKind = QuotaKind.TOKEN_BUCKET
    retry_after: RetryAfter = RetryAfter.NONE
    body: QuotaBody = QuotaBody.APIG


class Latency(Section):
    """Log-normal latency: the median in seconds, sigma of the logarithm, and a cap."""

    median: Seconds
    sigma: Annotated[float, Field(strict=True, ge=0, le=5)] = 0.0
    cap: PositiveSeconds = 10.0


class User(Section):
    """A user who may log in to a project with a password."""

    name: Text
    password: Text = Field(repr=False)
    domain: Text


class KeyPair(Section):
    """An access key and its secret; temporary keys have a security token."""

    access_key: Identifier
    secret_key: Text = Field(repr=False)
    security_token: Text = Field(default="", repr=False)


class Server(Section):
    """One physical server."""

    id: Identifier
    name: Text
    manage_state: Text = "in-use"
    power_state: Text = "on"
    health_state: Text = "OK"
    tags: dict[Text, Text] = Field(default_factory=dict)


class Console(Section):
    """The settings of a project's consoles.

    A token is valid for ``token_lifetime`` seconds, and for one WebSocket only if ``single_use``.
    ``viewers`` is the maximum of concurrent viewers of one server; None means no maximum.
    """

    token_lifetime: PositiveSeconds = 600.0
    single_use: StrictBool = False
    websocket: WebSocketPath = WebSocketPath.ANY
    viewers: Count | None = None


class Project(Section):
    """One project: its credentials, latency, quota and servers.

    ``generate`` is the number of servers to generate in addition to those listed; ``token_bytes``
    is the length of a token.
    """

    name: Identifier
    region: Identifier
    project_id: Identifier
    users: tuple[User, ...] = ()
    access_keys: tuple[KeyPair, ...] = ()
    token_lifetime: PositiveSeconds = 86_400.0
    token_bytes: Annotated[int, Field(strict=True, ge=32, le=65_536)] = 3_000
    latency: Latency = Latency(median=0.0)
    quota: Annotated[QuotaSpec | None, NOT_NULL] = None
    servers: tuple[Server, ...] = ()
    generate: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = 0
    markers: Markers = Markers.ID
    console: Console = Console()

    @model_validator(mode="after")
    def _check_servers(self) -> Self:
        _reject_duplicates("id", (server.id for server in self.servers), "servers")
        return self


class Lockout(Section):
    """Failures in a row that lock an account or a key (0: never), and seconds until unlock."""

    failures: Count = 5
    account: Seconds = 900.0
    access_key: Seconds = 300.0


class Agency(Section):
    """The metadata service of a simulated machine; its keys are valid for every project.

    ``session_token`` False simulates the old version of the service, without session tokens.
    """

    lifetime: PositiveSeconds = 3_600.0
    session_token: StrictBool = True


class Scenario(Section):
    """A simulated cloud. The seed determines generated servers, latencies and fractions."""

    projects: tuple[Project, ...] = Field(min_length=1)
    faults: tuple[Fault, ...] = ()
    seed: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)] = 0
    lockout: Lockout = Lockout()
    agency: Agency = Agency()

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [project.name for project in self.projects]
        keys = [pair.access_key for project in self.projects for pair in project.access_keys]
        _reject_duplicates("name", names, "projects")
        _reject_duplicates("project_id", (one.project_id for one in self.projects), "projects")
        _reject_duplicates("access_key", keys, "projects")
        for index, fault in enumerate(self.faults):
            if fault.project and fault.project not in names:
                raise wrong(f"unknown project {fault.project!r}", f"faults[{index}].project")
        return self


def _reject_duplicates(name: str, values: Iterable[str], key: str) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise wrong(f"duplicate {name} {value!r}", key)
