"""Convert servers and projects to JSON values.

Fields that end in ``_at`` are Unix time in seconds, as in Prometheus; fields that end in
``_seconds`` are durations. Unknown values are null.
"""

from exporter.model import ProbeResult, ProjectStatus, Target
from exporter.probe.result_format import as_json
from exporter.state import TargetState
from exporter.web.health_state import health_state_of, since


def project_json(status: ProjectStatus) -> dict[str, object]:
    """Return a project's throttle and login status; rates are in requests per second."""
    return {
        "project": status.name,
        "region": status.region,
        "limit": status.limit,
        "ceiling": status.ceiling,
        "queue_length": status.queue_length,
        "resume_at": _time(status.resume_at),
        "login_expires_at": _time(status.login_expires_at),
    }


def server_json(state: TargetState, now: float) -> dict[str, object]:
    """Return a server's attributes and state; ``now`` is Unix time in seconds.

    ``success`` is the last verdict; ``outcome`` to ``detail`` describe the last probe.
    """
    last, attempt = state.last, state.last_attempt
    return {
        **_attributes(state.target),
        "state": health_state_of(state, now).value,
        "since": _time(since(state, now)),
        "success": state.success,
        "outcome": last.outcome.value if last else None,
        "verdict": last.verdict.value if last else None,
        "stage": _failed_stage(last) if last else None,
        "detail": last.detail if last else None,
        # If no stage ran, 0 would look like a very fast probe.
        "duration_seconds": round(attempt.duration_seconds, 6)
        if attempt and attempt.stages
        else None,
        "last_attempt_at": _started_at(attempt),
        "last_verdict_at": _started_at(state.last_verdict),
        "last_success_at": _time(state.last_success_at),
        "consecutive_failures": state.consecutive_failures,
    }


def full_server_json(state: TargetState, now: float) -> dict[str, object]:
    """Return all fields of a server except its history."""
    target = state.target
    return {
        **server_json(state, now),
        "interval_seconds": target.interval,
        "timeout_seconds": target.timeout,
        "verdicts": state.verdicts,
        "failures": state.failures,
        "throttled": state.throttled,
        "last": as_json(state.last) if state.last else None,
    }


def _attributes(target: Target) -> dict[str, object]:
    return {
        "project": target.key.project,
        "server_id": target.key.server_id,
        "server": target.name,
        "region": target.region,
        "depth": target.depth.value,
        "labels": dict(target.labels),
    }


def _failed_stage(result: ProbeResult) -> str:
    return result.failed_stage.value if result.failed_stage else ""


def _started_at(result: ProbeResult | None) -> float | None:
    return _time(result.started_at) if result else None


def _time(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
