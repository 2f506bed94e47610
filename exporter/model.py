"""Shared values: stages, targets, probe results and project status."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import NamedTuple

from exporter.outcome import Outcome, Verdict


@unique
class Stage(StrEnum):
    """Stages of a probe, in the order in which they run."""

    API = "api"
    PAGE = "page"
    WEBSOCKET = "websocket"
    RFB = "rfb"
    SECURITY = "security"


class TargetKey(NamedTuple):
    """Identity of a target; server ids are unique only within their project."""

    project: str
    server_id: str


@dataclass(frozen=True, slots=True)
class Target:
    """A server and the settings for probing it.

    ``interval`` and ``timeout`` are seconds. ``depth`` is the last stage of the probe. ``labels``
    are sorted by name: those from the configuration and, for a discovered server,
    ``power_state`` and ``health_state``.
    """

    key: TargetKey
    name: str
    region: str
    interval: float
    timeout: float
    depth: Stage = Stage.API
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StageTiming:
    """Duration of one stage in seconds, and whether it passed; ``note`` is a detail for people."""

    stage: Stage
    seconds: float
    passed: bool
    note: str = ""


_UNAUTHORIZED = 401
# These outcomes of stage ``api`` prove that the cloud has accepted the credentials.
_AUTHENTICATED = frozenset(
    {
        Outcome.SUCCESS,
        Outcome.FORBIDDEN,
        Outcome.NOT_FOUND,
        Outcome.NOT_READY,
        Outcome.BAD_REQUEST,
    }
)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Result of one probe.

    ``started_at`` is Unix time in seconds. ``stages`` are the stages that ran, in order; the sum
    of their times is the probe's duration. ``waited_seconds`` is the time spent waiting for the
    project's throttle and is not part of the duration. ``status_code`` is the last HTTP status of
    the API, 0 without a response. ``detail`` is text for people and holds no secret: no token, no
    query string.
    """

    target: Target
    started_at: float
    outcome: Outcome
    failed_stage: Stage | None = None
    status_code: int = 0
    error_code: str = ""
    request_id: str = ""
    stages: tuple[StageTiming, ...] = ()
    waited_seconds: float = 0.0
    detail: str = ""

    @property
    def verdict(self) -> Verdict:
        """Return the verdict that follows from the outcome."""
        return self.outcome.verdict

    @property
    def login_works(self) -> bool | None:
        """Return whether the project's login works; None if the result does not tell.

        A 401 does not tell: it may be the fault of one server. Without good credentials no request
        is sent.
        """
        if self.outcome is Outcome.UNAUTHORIZED:
            return None if self.status_code == _UNAUTHORIZED else False
        beyond_api = self.failed_stage not in {None, Stage.API}
        return True if beyond_api or self.outcome in _AUTHENTICATED else None

    @property
    def duration_seconds(self) -> float:
        """Return the sum of the stages' times, in seconds."""
        return sum(stage.seconds for stage in self.stages)


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """Current state of a project's throttle, login and API.

    ``limit`` is the current rate and ``ceiling`` the maximum rate, in requests per second. Times
    are Unix time in seconds: ``resume_at`` is the end of the current or last cool-down, None
    before the first one; ``login_expires_at`` is None if the credentials have no known expiry or
    do not exist yet. ``api_reachable`` is None before the first evidence.
    """

    name: str
    region: str
    limit: float
    ceiling: float
    queue_length: int
    resume_at: float | None = None
    login_expires_at: float | None = None
    api_reachable: bool | None = None
