"""Render the page of one server: state, last probe, history, and a probe on demand."""

from itertools import islice

from jinja2 import Environment

from exporter.config.duration import format_duration
from exporter.model import ProbeResult
from exporter.state import TargetState
from exporter.web.health_state import (
    STALE_INTERVALS,
    HealthState,
    health_state_of,
    last_inconclusive,
    since,
)
from exporter.web.pages.probe_view import probe_view, timeline
from exporter.web.pages.text import clock_text, outcome_text

# More bars would be too thin, and more rows too many to read.
_MARKS_MAX = 60
_ROWS_MAX = 50


class ServerPage:
    """Render the page of one server."""

    def __init__(self, environment: Environment) -> None:
        self._template = environment.get_template("server.html")

    def render(
        self, state: TargetState, now: float, seen: str, on_demand: ProbeResult | str | None = None
    ) -> str:
        """Return the page at ``now``, Unix time in seconds.

        ``seen`` is the page's ETag. ``on_demand`` is the result of a probe on demand, or the
        reason why it was rejected.
        """
        target, last = state.target, state.last
        newest = list(islice(reversed(list(state.history)), _MARKS_MAX))
        health_state = health_state_of(state, now)
        since_at = since(state, now)
        return self._template.render(
            root="../../",
            target=target,
            now=now,
            at=clock_text(now, now),
            seen=seen,
            health_state=health_state.value,
            since=since_at,
            since_clock=clock_text(since_at, now) if since_at is not None else "",
            reason=_reason(state, health_state),
            doubt=outcome_text(last) if last and last_inconclusive(state) else "",
            doubt_detail=last.detail if last and last_inconclusive(state) else "",
            attempt=probe_view(state.last_attempt, now) if state.last_attempt else None,
            timeline=timeline(newest[::-1], now),
            rows=[probe_view(result, now) for result in newest[:_ROWS_MAX]],
            settings=_settings(state),
            counters=_counters(state),
            refusal=on_demand if isinstance(on_demand, str) else "",
            on_demand=probe_view(on_demand, now) if isinstance(on_demand, ProbeResult) else None,
        )


def _reason(state: TargetState, health_state: HealthState) -> str:
    verdict = state.last_verdict
    if health_state is HealthState.UNKNOWN:
        return "Not probed yet." if state.last is None else "All probes so far were inconclusive."
    if health_state is HealthState.STALE:
        return (
            f"No conclusive probe for more than {STALE_INTERVALS} intervals. The last verdict was:"
            f" {'working' if state.success else 'failing'}."
        )
    if verdict is None or health_state is HealthState.WORKING:
        return ""
    times = state.consecutive_failures
    count = "once" if times == 1 else f"{times} times in a row"
    detail = f": {verdict.detail}" if verdict.detail else ""
    return f"{outcome_text(verdict).capitalize()}, {count}{detail}"


def _settings(state: TargetState) -> list[tuple[str, str]]:
    target = state.target
    return [
        ("Server id", target.key.server_id),
        ("Project", target.key.project),
        ("Region", target.region),
        ("Interval", format_duration(target.interval)),
        ("Timeout", format_duration(target.timeout)),
        ("Depth", target.depth.value),
    ]


def _counters(state: TargetState) -> list[tuple[str, int]]:
    return [
        ("Verdicts", state.verdicts),
        ("Failures", state.failures),
        ("Failures in a row", state.consecutive_failures),
        ("Throttled (429)", state.throttled),
    ]
