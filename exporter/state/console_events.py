"""The events of the log: a console became unavailable, a console recovered.

A probe that changes no verdict is no event; it is a line at level debug alone.
"""

import logging

import structlog

from exporter.model import ProbeResult, TargetKey
from exporter.outcome import Verdict
from exporter.state.store import TargetState

log = structlog.get_logger(__name__)
# Asking structlog's proxy builds a logger each time, which every probe would pay for.
_level = logging.getLogger(__name__)


class ConsoleEvents:
    """Logs changes of verdict, as a `StateListener`.

    A verdict that is there when a target is first seen, as after a restart, is no change.
    """

    def __init__(self) -> None:
        """Start with no targets."""
        self._last: dict[TargetKey, ProbeResult | None] = {}
        # When the first failure of the present row began, Unix seconds; None where not seen.
        self._down_since: dict[TargetKey, float | None] = {}

    def on_change(self, state: TargetState) -> None:
        """Log what changed with the newest result, if there is a new one."""
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
            log.debug("console probed", **_facts(result))
        if result.verdict is Verdict.FAILURE and key not in self._down_since:
            self._down_since[key] = result.started_at
            log.warning("console unavailable", **_facts(result))
        elif result.verdict is Verdict.SUCCESS and key in self._down_since:
            since = self._down_since.pop(key)
            down = {} if since is None else {"down_seconds": round(result.started_at - since, 3)}
            log.info("console recovered", **_facts(result), **down)

    def on_remove(self, key: TargetKey) -> None:
        """Forget a target."""
        del self._last[key]
        self._down_since.pop(key, None)


def _facts(result: ProbeResult) -> dict[str, object]:
    """Return what an event says of a probe; nothing that is not known."""
    key = result.target.key
    facts = {
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
    return {name: value for name, value in facts.items() if value not in {"", None}}
