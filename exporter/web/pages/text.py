"""Format times, durations and outcomes; all times are UTC, as in the log."""

from datetime import UTC, datetime

from exporter.model import ProbeResult
from exporter.outcome import Verdict


def clock_text(at: float, now: float) -> str:
    """Return the time of day of ``at``, with the date unless it is today."""
    then = datetime.fromtimestamp(at, UTC)
    same_day = then.date() == datetime.fromtimestamp(now, UTC).date()
    return then.strftime("%H:%M:%S UTC" if same_day else "%Y-%m-%d %H:%M:%S UTC")


def duration_text(seconds: float) -> str:
    """Return a duration in milliseconds or seconds."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s"


def outcome_text(result: ProbeResult) -> str:
    """Return a result's outcome, with the failed stage unless the outcome's name contains it."""
    text, stage = result.outcome.value.replace("_", " "), result.failed_stage
    if stage is None or result.verdict is not Verdict.FAILURE or text.startswith(stage.value):
        return text
    return f"{text} at {stage.value}"
