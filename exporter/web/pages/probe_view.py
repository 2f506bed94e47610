"""Prepare results for a server's page: the waterfall of one, the timeline of many."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt

from exporter.model import ProbeResult, Stage
from exporter.outcome import Verdict
from exporter.web.pages.text import clock_text, duration_text, outcome_text

_HEIGHTS = 8
_FULL = 100.0
_BAR_MIN = 0.6
_VERDICT_TEXT = {
    Verdict.SUCCESS: "working",
    Verdict.FAILURE: "failing",
    Verdict.INCONCLUSIVE: "inconclusive",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """The bar of one stage; ``start`` and ``length`` are percentages of the total duration."""

    stage: str
    start: float
    length: float
    took: str
    passed: bool
    note: str


@dataclass(frozen=True, slots=True)
class ProbeView:
    """One result as texts and bars. ``facts`` are what the cloud's support asks for."""

    verdict: str
    verdict_text: str
    outcome: str
    detail: str
    at: float
    clock: str
    took: str
    waited: str
    bars: tuple[Bar, ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """One result of the timeline; ``height``, from 1 to 8, shows the duration."""

    verdict: str
    height: int
    title: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The newest results, the newest last, with a summary."""

    marks: tuple[Mark, ...]
    summary: str
    slowest: str
    begins: str
    ends: str


def probe_view(result: ProbeResult, now: float) -> ProbeView:
    """Return one result as the page shows it at ``now``, Unix time in seconds."""
    facts = {
        f"HTTP status of stage {Stage.API}": str(result.status_code) if result.status_code else "",
        "Error code": result.error_code,
        "Request id": result.request_id,
    }
    return ProbeView(
        verdict=result.verdict.value,
        verdict_text=_VERDICT_TEXT[result.verdict],
        outcome=outcome_text(result),
        detail=result.detail,
        at=result.started_at,
        clock=clock_text(result.started_at, now),
        took=duration_text(result.duration_seconds) if result.stages else "",
        waited=duration_text(result.waited_seconds) if result.waited_seconds > 0 else "",
        bars=tuple(_bars(result)),
        facts=tuple((name, text) for name, text in facts.items() if text),
    )


def timeline(results: list[ProbeResult], now: float) -> Timeline:
    """Return the timeline of results, the newest last."""
    slowest = max((result.duration_seconds for result in results), default=0.0)
    counts = Counter(result.verdict for result in results)
    parts = [f"{counts[verdict]} {_VERDICT_TEXT[verdict]}" for verdict in Verdict]
    return Timeline(
        marks=tuple(_mark(result, slowest) for result in results),
        summary=f"{len(results)} result{'' if len(results) == 1 else 's'}: {', '.join(parts)}",
        slowest=duration_text(slowest),
        begins=clock_text(results[0].started_at, now) if results else "",
        ends=clock_text(results[-1].started_at, now) if results else "",
    )


def _bars(result: ProbeResult) -> Iterable[Bar]:
    total = result.duration_seconds
    before = 0.0
    for timing in result.stages:
        length = max(_BAR_MIN, timing.seconds / total * _FULL) if total else _FULL
        start = min(before / total * _FULL, _FULL - length) if total else 0.0
        yield Bar(
            timing.stage.value,
            round(start, 2),
            round(length, 2),
            duration_text(timing.seconds),
            timing.passed,
            timing.note,
        )
        before += timing.seconds


def _mark(result: ProbeResult, slowest: float) -> Mark:
    # On a square-root scale, fast results stay distinguishable next to a timeout.
    share = sqrt(result.duration_seconds / slowest) if slowest else 0.0
    at = datetime.fromtimestamp(result.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    took = f", {duration_text(result.duration_seconds)}" if result.stages else ""
    return Mark(
        result.verdict.value,
        max(1, round(share * _HEIGHTS)),
        f"{at}: {outcome_text(result)}{took}",
    )
