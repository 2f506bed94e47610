"""The health state of a target, as pages and API show it.

The state follows the last verdict. Inconclusive probes do not change it: an exhausted quota or an
expired password turns nothing red and nothing green. A verdict that is too old makes it stale.
"""

from enum import StrEnum, unique

from exporter.outcome import Verdict
from exporter.state import TargetState

# The same as in the alert ConsoleProbeStale.
STALE_INTERVALS = 5


@unique
class HealthState(StrEnum):
    """The health state of a target, the worst first."""

    FAILING = "failing"
    STALE = "stale"
    UNKNOWN = "unknown"
    WORKING = "working"


def health_state_of(state: TargetState, now: float) -> HealthState:
    """Return the health state of a target at ``now``, Unix time in seconds."""
    end = stale_at(state)
    if end is None:
        return HealthState.UNKNOWN
    if now > end:
        return HealthState.STALE
    return HealthState.WORKING if state.success else HealthState.FAILING


def stale_at(state: TargetState) -> float | None:
    """Return when the last verdict becomes stale; None before the first verdict."""
    if state.last_verdict is None:
        return None
    return state.last_verdict.started_at + STALE_INTERVALS * state.target.interval


def since(state: TargetState, now: float) -> float | None:
    """Return when the health state at ``now`` began; None before the first verdict."""
    return (
        stale_at(state) if health_state_of(state, now) is HealthState.STALE else state.verdict_since
    )


def last_inconclusive(state: TargetState) -> bool:
    """Return whether the newest probe was inconclusive, so that an older verdict is shown."""
    return state.last is not None and state.last.verdict is Verdict.INCONCLUSIVE
