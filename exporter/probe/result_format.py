"""Format a probe result: as JSON values for programs, as a text waterfall for people."""

from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome, Verdict

_BAR_WIDTH = 40
_MARK = {Verdict.SUCCESS: "ok", Verdict.FAILURE: "FAILED", Verdict.INCONCLUSIVE: "inconclusive"}


def as_json(result: ProbeResult) -> dict[str, object]:
    """Return a result as JSON values.

    ``started_at`` is Unix time in seconds; ``stage`` is the failed stage, empty on success.
    """
    return {
        "project": result.target.key.project,
        "server_id": result.target.key.server_id,
        "server": result.target.name,
        "started_at": round(result.started_at, 3),
        "outcome": result.outcome.value,
        "verdict": result.verdict.value,
        "stage": result.failed_stage.value if result.failed_stage else "",
        "status_code": result.status_code,
        "error_code": result.error_code,
        "request_id": result.request_id,
        "duration_seconds": round(result.duration_seconds, 6),
        "waited_seconds": round(result.waited_seconds, 6),
        "stages": [
            {
                "stage": timing.stage.value,
                "duration_seconds": round(timing.seconds, 6),
                "passed": timing.passed,
                "note": timing.note,
            }
            for timing in result.stages
        ],
        "detail": result.detail,
    }


def waterfall(result: ProbeResult) -> str:
    """Draw one bar per stage of a probe, positioned and sized by its time."""
    key = result.target.key
    lines = [f"{result.target.name} ({key.server_id}) of project {key.project}", ""]
    total = result.duration_seconds
    elapsed = 0.0
    for timing in result.stages:
        # The bar of a last stage that took almost no time stays visible.
        offset = min(round(elapsed / total * _BAR_WIDTH), _BAR_WIDTH - 1) if total else 0
        length = max(1, round(timing.seconds / total * _BAR_WIDTH)) if total else 1
        bar = (" " * offset + "=" * length)[:_BAR_WIDTH]
        mark = "ok" if timing.passed else "failed"
        lines.append(
            f"  {timing.stage:<10}|{bar:<{_BAR_WIDTH}}| {timing.seconds * 1000:8.1f} ms  {mark}"
        )
        if timing.note:
            lines.append(f"  {'':<10} {timing.note}")
        elapsed += timing.seconds
    if not result.stages:
        why = ": the login failed" if result.outcome is Outcome.UNAUTHORIZED else ""
        lines.append(f"  no request was sent to the API{why}")
    lines += ["", f"{_MARK[result.verdict]}: {result.outcome}"]
    if result.detail:
        lines.append(f"  {result.detail}")
    facts = {
        # The status of a later stage is in the detail.
        f"HTTP status of stage {Stage.API}": str(result.status_code) if result.status_code else "",
        "error code": result.error_code,
        "request id": result.request_id,
        "waited for the rate limit": f"{result.waited_seconds:.3f} s"
        if result.waited_seconds
        else "",
    }
    lines += [f"  {name}: {value}" for name, value in facts.items() if value]
    return "\n".join(lines) + "\n"
