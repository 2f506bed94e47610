"""One server: its state since when, its last probe as a waterfall, its history, a probe now."""

from itertools import islice

from jinja2 import Environment

from exporter.config.duration import format_duration
from exporter.model import ProbeResult
from exporter.state import TargetState
from exporter.web.health_state import (
    STALE_INTERVALS,
    HealthState,
    could_not_tell,
    health_state_of,
    since,
)
from exporter.web.pages.probe_view import probe_view, timeline
from exporter.web.pages.text import clock_text, outcome_text

# More bars could not be told apart, and more rows nobody reads.
_MARKS_MAX = 60
_ROWS_MAX = 50


class ServerPage:
    """Renders the page."""

    def __init__(self, environment: Environment) -> None:
        """Prepare the template."""
        self._template = environment.get_template("server.html")

    def render(
        self, state: TargetState, now: float, seen: str, on_demand: ProbeResult | str | None = None
    ) -> str:
        """Return the page at ``now``, Unix time in seconds.

        ``seen`` changes with all that is heard of the server. ``on_demand`` is the result of a
        probe that was asked for, or why it was not made.
        """
        target, last = state.target, state.last
        newest = list(islice(reversed(list(state.history)), _MARKS_MAX))
        health_state = health_state_of(state, now)
        began = since(state, now)
        return self._template.render(
            root="../../",
            target=target,
            now=now,
            at=clock_text(now, now),
            seen=seen,
            health_state=health_state.value,
            since=began,
            since_clock=clock_text(began, now) if began is not None else "",
            reason=_reason(state, health_state),
            doubt=outcome_text(last) if last and could_not_tell(state) else "",
            doubt_detail=last.detail if last and could_not_tell(state) else "",
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
        return "It has not been probed yet." if state.last is None else "No probe could tell yet."
    if health_state is HealthState.STALE:
        return (
            f"No verdict for more than {STALE_INTERVALS} intervals. The last one:"
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
        ("Probed every", format_duration(target.interval)),
        ("Within", format_duration(target.timeout)),
        ("Down to stage", target.depth.value),
    ]


def _counters(state: TargetState) -> list[tuple[str, int]]:
    return [
        ("Verdicts", state.verdicts),
        ("Failures among them", state.failures),
        ("Failures in a row", state.consecutive_failures),
        ("Answered 429", state.throttled),
    ]
