"""The events of the log that are of a whole project: its login fails or works, the cloud throttles.

Neither says anything of a console, so neither is a console's event.
"""

import structlog

from exporter.model import ProbeResult, TargetKey
from exporter.outcome import Outcome, Verdict
from exporter.state.store import TargetState

# A throttled project stays slow for this long after each 429; one line for all of that time.
_SLOW_SECONDS = 300.0

log = structlog.get_logger(__name__)


class ProjectEvents:
    """Logs what stops a project's probes and what lets them go on, as a `StateListener`."""

    def __init__(self) -> None:
        """Start with no projects."""
        self._shut_out_since: dict[str, float] = {}
        self._throttled_at: dict[str, float] = {}

    def on_change(self, state: TargetState) -> None:
        """Log what the newest result says of its project, if that is new."""
        result = state.last
        # A result of the time before a restart is no news.
        if result is None or result is state.restored:
            return
        project, at = state.target.key.project, result.started_at
        if result.outcome is Outcome.UNAUTHORIZED:
            if project not in self._shut_out_since:
                self._shut_out_since[project] = at
                log.warning("log-in failed, nothing can be probed", **_facts(result))
        elif result.verdict is not Verdict.INCONCLUSIVE and project in self._shut_out_since:
            since = self._shut_out_since.pop(project)
            log.info("log-in works again", project=project, after_seconds=round(at - since, 3))
        if result.outcome is Outcome.THROTTLED:
            if at - self._throttled_at.get(project, float("-inf")) > _SLOW_SECONDS:
                log.warning("the cloud throttles, probes slow down", **_facts(result))
            self._throttled_at[project] = at

    def on_remove(self, key: TargetKey) -> None:
        """Remember what is known of the project; its other targets may stay."""


def _facts(result: ProbeResult) -> dict[str, object]:
    """Return what an event says of a probe that could not tell."""
    facts = {
        "project": result.target.key.project,
        "status_code": result.status_code or None,
        "error_code": result.error_code,
        "request_id": result.request_id,
        "detail": result.detail,
    }
    return {name: value for name, value in facts.items() if value not in {"", None}}
