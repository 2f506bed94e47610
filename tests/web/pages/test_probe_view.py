"""The data of the waterfall and the timeline."""

from dataclasses import replace

import pytest

from exporter.model import Stage, StageTiming
from exporter.outcome import Outcome
from exporter.web.pages.probe_view import probe_view, timeline
from tests.web.fake_exporter import NOW, result, target

DB = target("db-01")
DEEP = replace(
    result(DB, Outcome.PAGE_ERROR),
    failed_stage=Stage.PAGE,
    waited_seconds=1.25,
    stages=(StageTiming(Stage.API, 0.1, passed=True), StageTiming(Stage.PAGE, 0.3, passed=False)),
)


def test_each_bar_starts_where_the_previous_one_ends() -> None:
    bars = probe_view(DEEP, NOW).bars
    assert [(bar.stage, bar.start, bar.length, bar.took, bar.passed) for bar in bars] == [
        ("api", 0.0, 25.0, "100 ms", True),
        ("page", 25.0, 75.0, "300 ms", False),
    ]


def test_wait_for_the_rate_limit_is_shown_apart_from_the_duration() -> None:
    view = probe_view(DEEP, NOW)
    assert (view.waited, view.took) == ("1.25 s", "400 ms")


def test_very_short_stage_has_a_visible_bar() -> None:
    stages = (StageTiming(Stage.API, 10.0, passed=True), StageTiming(Stage.PAGE, 1e-6, passed=True))
    last = probe_view(replace(DEEP, stages=stages), NOW).bars[-1]
    assert last.length > 0.5
    assert last.start + last.length == pytest.approx(100)


def test_skipped_probe_has_no_bars_and_no_duration() -> None:
    view = probe_view(result(DB, Outcome.SKIPPED), NOW)
    assert (view.bars, view.took) == ((), "")


def test_timeline_shows_verdicts_and_durations_the_newest_last() -> None:
    slow = replace(DEEP, stages=(StageTiming(Stage.API, 4.0, passed=True),))
    drawn = timeline([result(DB), result(DB, Outcome.SKIPPED), slow], NOW)
    assert [(mark.verdict, mark.height) for mark in drawn.marks] == [
        ("success", 2),
        ("inconclusive", 1),
        ("failure", 8),
    ]
    assert drawn.summary == "3 results: 1 working, 1 failing, 1 inconclusive"
