"""Log events of a whole project: login or API failed or recovered, rate limit hit.

These events are no evidence about any console.
"""

import structlog

from exporter.model import ProbeResult, TargetKey
from exporter.outcome import Outcome, Verdict
from exporter.state.store import TargetState

# A project may stay slow for this long after a 429; further 429s in that time are not logged.
_SLOW_SECONDS = 300.0
_UNREACHABLE = frozenset({Outcome.UNREACHABLE, Outcome.WRONG_ENDPOINT})

log = structlog.get_logger(__name__)


class ProjectEvents:
    """A `StateListener` that logs what stops a project's probes and when they continue."""

    def __init__(self) -> None:
        self._login_failed_since: dict[str, float] = {}
        self._unreachable_since: dict[str, float] = {}
        self._throttled_at: dict[str, float] = {}

    def on_change(self, state: TargetState) -> None:
        """Log a change of the project's state that the newest result shows."""
        result = state.last
        # A result restored after a restart is not an event.
        if result is None or result is state.restored:
            return
        project, at = state.target.key.project, result.started_at
        if result.login_works is False:
            if project not in self._login_failed_since:
                self._login_failed_since[project] = at
                log.warning("login failed, no server can be probed", **_fields(result))
        elif result.login_works and project in self._login_failed_since:
            since = self._login_failed_since.pop(project)
            log.info("login recovered", project=project, after_seconds=round(at - since, 3))
        if result.outcome in _UNREACHABLE:
            if project not in self._unreachable_since:
                self._unreachable_since[project] = at
                log.warning("API unreachable, no server can be probed", **_fields(result))
        elif result.verdict is not Verdict.INCONCLUSIVE and project in self._unreachable_since:
            since = self._unreachable_since.pop(project)
            log.info("API reachable again", project=project, after_seconds=round(at - since, 3))
        if result.outcome is Outcome.THROTTLED:
            if at - self._throttled_at.get(project, float("-inf")) > _SLOW_SECONDS:
                log.warning("rate limited by the cloud, probes slowed down", **_fields(result))
            self._throttled_at[project] = at

    def on_remove(self, key: TargetKey) -> None:
        """Do nothing: the project may have other targets."""


def _fields(result: ProbeResult) -> dict[str, object]:
    """Return the log fields of an inconclusive probe; empty ones are left out."""
    fields = {
        "project": result.target.key.project,
        "status_code": result.status_code or None,
        "error_code": result.error_code,
        "request_id": result.request_id,
        "detail": result.detail,
    }
    return {name: value for name, value in fields.items() if value not in {"", None}}
