"""The values that every part shares: what is probed, and what came of it."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import NamedTuple

from exporter.outcome import Outcome, Verdict


@unique
class Stage(StrEnum):
    """One step of a probe, in the order of the steps."""

    API = "api"
    PAGE = "page"
    WEBSOCKET = "websocket"
    RFB = "rfb"


class TargetKey(NamedTuple):
    """What identifies a target: a server id is unique within its project only."""

    project: str
    server_id: str


@dataclass(frozen=True, slots=True)
class Target:
    """A server plus the settings to probe it with.

    ``interval`` and ``timeout`` are seconds; ``depth`` is the last stage a probe goes to;
    ``labels`` are the operator's own and, of a discovered server, ``power_state`` and
    ``health_state``; sorted by name.
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
    """How long one stage took, in seconds, and whether it passed; ``note`` tells people how."""

    stage: Stage
    seconds: float
    passed: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe saw.

    ``started_at`` is Unix time in seconds. ``stages`` are those that ran, in order; their sum is
    the probe's duration. ``waited_seconds`` is the time spent waiting for the project's throttle,
    which is no part of the duration. ``status_code`` is the API's last HTTP status, 0 when there
    was no answer. ``detail`` is for people and holds no secret: no token, no query string.
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
        """Return what this probe says about the console."""
        return self.outcome.verdict

    @property
    def duration_seconds(self) -> float:
        """Return the seconds spent on the wire, all stages together."""
        return sum(stage.seconds for stage in self.stages)


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """How one project's throttle and login stand now.

    ``limit`` (the pace now) and ``ceiling`` are requests a second, times are Unix time in
    seconds: ``resume_at`` is the end of the current or last cool-down, None before the first;
    ``login_expires_at`` is None where credentials have no known end, or there are none yet.
    """

    name: str
    region: str
    limit: float
    ceiling: float
    queue_length: int
    resume_at: float | None = None
    login_expires_at: float | None = None
