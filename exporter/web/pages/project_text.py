"""Describe the status of a project's throttle, login and API."""

from dataclasses import dataclass

from exporter.model import ProbeResult, ProjectStatus
from exporter.web.pages.text import clock_text

_NO_API = (
    "the exporter gets no answer from the API, so verdicts stay as they were:"
    " the newest probe of any server says why"
)


@dataclass(frozen=True, slots=True)
class ProjectText:
    """The status of throttle, login and API, and whether there is a problem.

    ``slowed`` means that the rate is reduced; ``refused`` means that the login fails.
    ``api`` is empty unless the API is ``unreachable``.
    """

    throttle: str
    login: str
    api: str = ""
    unreachable: bool = False
    slowed: bool = False
    refused: bool = False


def project_text(status: ProjectStatus, evidence: ProbeResult | None, now: float) -> ProjectText:
    """Describe a project's status at ``now``, Unix time in seconds.

    ``evidence`` is its newest result that shows whether the `login_works`.
    """
    refused = evidence is not None and evidence.login_works is False
    slowed = status.limit < status.ceiling or _cooling(status, now)
    return ProjectText(
        throttle=_throttle(status, now),
        login=_login(status, evidence, now),
        api=_NO_API if status.api_reachable is False else "",
        unreachable=status.api_reachable is False,
        slowed=slowed,
        refused=refused,
    )


def _throttle(status: ProjectStatus, now: float) -> str:
    rate = f"up to {_rate(status.ceiling)} requests per second"
    if status.limit < status.ceiling:
        rate = f"slowed to {_rate(status.limit)} of {_rate(status.ceiling)} requests per second"
    parts = [rate]
    if status.queue_length:
        parts.append(f"{status.queue_length} waiting")
    if status.resume_at is not None and _cooling(status, now):
        parts.append(f"paused until {clock_text(status.resume_at, now)} after a 429")
    elif status.resume_at is not None and status.limit < status.ceiling:
        parts.append(f"resumed at {clock_text(status.resume_at, now)} after a 429")
    return "; ".join(parts)


def _login(status: ProjectStatus, evidence: ProbeResult | None, now: float) -> str:
    if evidence is not None and evidence.login_works is False:
        return f"login failed: {evidence.detail or 'the cloud gave no reason'}"
    if status.login_expires_at is not None:
        valid = status.login_expires_at > now
        when = clock_text(status.login_expires_at, now)
        return f"logged in until {when}" if valid else f"login expired at {when}"
    return "not logged in yet" if evidence is None else "login accepted"


def _cooling(status: ProjectStatus, now: float) -> bool:
    return status.resume_at is not None and status.resume_at > now


def _rate(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value >= 1 else f"{value:.2g}"
