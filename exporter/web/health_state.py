"""What state a target is in, in the words that pages and API tell people.

A target is as its last verdict says, however many probes since could not tell: an exhausted
quota or an expired password turns nothing red, and nothing green. When no verdict has come for
long, the last one is no longer believed.
"""

from enum import StrEnum, unique

from exporter.outcome import Verdict
from exporter.state import TargetState

# As the alert ConsoleProbeStale has it.
STALE_INTERVALS = 5


@unique
class HealthState(StrEnum):
    """The state of a target, the worst first."""

    FAILING = "failing"
    STALE = "stale"
    UNKNOWN = "unknown"
    WORKING = "working"


def health_state_of(state: TargetState, now: float) -> HealthState:
    """Return the condition of a target at ``now``, Unix time in seconds."""
    end = stale_at(state)
    if end is None:
        return HealthState.UNKNOWN
    if now > end:
        return HealthState.STALE
    return HealthState.WORKING if state.success else HealthState.FAILING


def stale_at(state: TargetState) -> float | None:
    """Return when the last verdict will be too old to be believed; None before the first."""
    if state.last_verdict is None:
        return None
    return state.last_verdict.started_at + STALE_INTERVALS * state.target.interval


def since(state: TargetState, now: float) -> float | None:
    """Return when the condition at ``now`` began; None before the first verdict."""
    return (
        stale_at(state) if health_state_of(state, now) is HealthState.STALE else state.verdict_since
    )


def could_not_tell(state: TargetState) -> bool:
    """Return whether the newest probe was inconclusive, so that an older verdict stands."""
    return state.last is not None and state.last.verdict is Verdict.INCONCLUSIVE
