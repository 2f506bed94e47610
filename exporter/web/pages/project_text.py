"""How a project's throttle and login stand, in words."""

from dataclasses import dataclass

from exporter.model import ProbeResult, ProjectStatus, Stage
from exporter.outcome import Outcome
from exporter.web.pages.text import clock_text

# Only whom the cloud has let in is told these.
_LET_IN = frozenset(
    {
        Outcome.SUCCESS,
        Outcome.FORBIDDEN,
        Outcome.NOT_FOUND,
        Outcome.NOT_READY,
        Outcome.BAD_REQUEST,
    }
)


@dataclass(frozen=True, slots=True)
class ProjectText:
    """One sentence each on throttle and login, and whether something is amiss there."""

    throttle: str
    login: str
    slowed: bool = False
    refused: bool = False


def tells_of_login(result: ProbeResult) -> bool:
    """Return whether a result shows that the project's login works, or that it does not."""
    beyond_api = result.failed_stage not in {None, Stage.API}
    return beyond_api or result.outcome in _LET_IN or result.outcome is Outcome.UNAUTHORIZED


def project_text(status: ProjectStatus, evidence: ProbeResult | None, now: float) -> ProjectText:
    """Put a project's status at ``now``, Unix time in seconds, in words.

    ``evidence`` is its newest result that `tells_of_login`.
    """
    refused = evidence is not None and evidence.outcome is Outcome.UNAUTHORIZED
    slowed = status.limit < status.ceiling or _cooling(status, now)
    return ProjectText(
        throttle=_throttle(status, now),
        login=_login(status, evidence, now),
        slowed=slowed,
        refused=refused,
    )


def _throttle(status: ProjectStatus, now: float) -> str:
    pace = f"asks at up to {_rate(status.ceiling)} requests a second"
    if status.limit < status.ceiling:
        pace = f"asks at {_rate(status.limit)} of {_rate(status.ceiling)} requests a second"
    parts = [pace]
    if status.queue_length:
        parts.append(f"{status.queue_length} wait{'s' if status.queue_length == 1 else ''}")
    if status.resume_at is not None and _cooling(status, now):
        parts.append(f"the cloud said 429, asking again at {clock_text(status.resume_at, now)}")
    elif status.resume_at is not None and status.limit < status.ceiling:
        when = clock_text(status.resume_at, now)
        parts.append(f"still slow after a 429, asking again since {when}")
    return "; ".join(parts)


def _login(status: ProjectStatus, evidence: ProbeResult | None, now: float) -> str:
    if evidence is not None and evidence.outcome is Outcome.UNAUTHORIZED:
        return f"log-in refused: {evidence.detail or 'the cloud gave no reason'}"
    if status.login_expires_at is not None:
        left = status.login_expires_at > now
        when = clock_text(status.login_expires_at, now)
        return f"logged in until {when}" if left else f"log-in ended at {when}"
    return "not logged in yet" if evidence is None else "log-in accepted"


def _cooling(status: ProjectStatus, now: float) -> bool:
    return status.resume_at is not None and status.resume_at > now


def _rate(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value >= 1 else f"{value:.2g}"
