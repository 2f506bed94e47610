"""Log when a console becomes unavailable and when it recovers.

A probe that does not change the verdict is logged at level debug only.
"""

import logging

import structlog

from exporter.model import ProbeResult, TargetKey
from exporter.outcome import Verdict
from exporter.state.store import TargetState

log = structlog.get_logger(__name__)
# structlog's proxy builds a logger at each call, which is too slow for every probe.
_level = logging.getLogger(__name__)


class ConsoleEvents:
    """A `StateListener` that logs changes of verdict.

    The verdict that a target has when it is added, such as after a restart, is not a change.
    """

    def __init__(self) -> None:
        self._last: dict[TargetKey, ProbeResult | None] = {}
        # Start of the first failure in the current series of failures (Unix seconds), if known.
        self._down_since: dict[TargetKey, float | None] = {}

    def on_change(self, state: TargetState) -> None:
        """Log the newest result if it is new."""
        key, result = state.target.key, state.last
        is_known = key in self._last
        is_new = self._last.get(key) is not result
        self._last[key] = result
        if not is_known:
            if state.success is False:
                self._down_since[key] = state.verdict_since
            return
        if result is None or not is_new:
            return
        if _level.isEnabledFor(logging.DEBUG):
            log.debug("console probed", **_fields(result))
        if result.verdict is Verdict.FAILURE and key not in self._down_since:
            self._down_since[key] = result.started_at
            log.warning("console unavailable", **_fields(result))
        elif result.verdict is Verdict.SUCCESS and key in self._down_since:
            since = self._down_since.pop(key)
            down = {} if since is None else {"down_seconds": round(result.started_at - since, 3)}
            log.info("console recovered", **_fields(result), **down)

    def on_remove(self, key: TargetKey) -> None:
        """Forget a target."""
        del self._last[key]
        self._down_since.pop(key, None)


def _fields(result: ProbeResult) -> dict[str, object]:
    """Return the log fields of a probe; empty ones are left out."""
    key = result.target.key
    fields = {
        "project": key.project,
        "server_id": key.server_id,
        "server": result.target.name,
        "outcome": result.outcome.value,
        "stage": result.failed_stage.value if result.failed_stage else "",
        "duration_seconds": round(result.duration_seconds, 6) if result.stages else None,
        "status_code": result.status_code or None,
        "error_code": result.error_code,
        "request_id": result.request_id,
        "detail": result.detail,
    }
    return {name: value for name, value in fields.items() if value not in {"", None}}
