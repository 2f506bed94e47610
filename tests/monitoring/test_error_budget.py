"""The error budget: how fast it goes, over long and short windows."""

from pathlib import Path

from tests.monitoring.promtool import JOB, Story, counting, firing, judge, labels, value

PROBES = "console_probes_total"
LIMITS = {"1h": ("critical", "5m"), "6h": ("critical", "30m"), "1d": ("warning", "2h"),
          "3d": ("warning", "6h")}  # fmt: skip


def _burning(*long_windows: str, project: str = "southwest") -> list[str]:
    return [
        firing(
            "ConsoleErrorBudgetBurn",
            LIMITS[long][0],
            project=project,
            long_window=long,
            short_window=LIMITS[long][1],
        )
        for long in long_windows
    ]


def _probed(story: Story, minutes: float, project: str = "southwest", **per_minute: float) -> Story:
    for outcome, many in per_minute.items():
        story.add(PROBES, counting((minutes, many)), project=project, outcome=outcome)
    return story


def _ratio(window: str) -> tuple[str, str]:
    """Return a query of failures over verdicts, rounded, and the series of its result."""
    own = labels(job=JOB, project="southwest")
    return f"round(project:console_probe_failures:ratio_rate{window}{own}, 0.001)", own


def _judge(rules: Path, story: Story, expected: dict[str, list[str]]) -> None:
    expr = 'ALERTS{alertstate="firing", alertname="ConsoleErrorBudgetBurn"}'
    judge(rules, story, expected, expr=expr)


def test_each_pair_of_windows_has_its_own_limit(rules: Path) -> None:
    table: dict[float, tuple[str, ...]] = {
        15: ("1h", "6h", "1d", "3d"),
        14: ("6h", "1d", "3d"),
        5: ("1d", "3d"),
        2: ("3d",),
        0.9: (),
        0: (),
    }
    story = Story()
    for failed in table:
        half = failed / 2
        well = 100 - failed
        _probed(story, 40, f"{failed} %", success=well, server_error=half, rfb_error=half)
    expected = [
        alert
        for failed, burning in table.items()
        for alert in _burning(*burning, project=f"{failed} %")
    ]
    _judge(rules, story, {"39m": expected})


def test_probes_that_prove_nothing_cost_nothing(rules: Path) -> None:
    story = Story()
    for outcome in ("throttled", "unauthorized", "forbidden", "skipped", "internal_error"):
        _probed(story, 30, f"all {outcome}", success=10, timeout=0, **{outcome: 1000})
    _judge(rules, story, {"10m": [], "29m": []})


def test_probes_that_prove_nothing_do_not_dilute_failures_either(rules: Path) -> None:
    story = _probed(Story(), 20, success=50, timeout=50, throttled=10000)
    expr, series = _ratio("5m")
    value(rules, story, "19m", expr, {series: 0.5})


def test_few_verdicts_tell_nothing_until_a_longer_window_has_enough(rules: Path) -> None:
    story = _probed(Story(), 120, success=0, timeout=0.4)
    _judge(rules, story, {"60m": [], "110m": _burning("6h", "1d", "3d")})


def test_an_outage_that_is_over_is_still_counted_and_burns_no_longer(rules: Path) -> None:
    story = Story()
    for outcome, failing, well in (("success", 0, 100), ("timeout", 100, 0)):
        samples = counting((20, well), (20, failing), (60, well))
        story.add(PROBES, samples, project="southwest", outcome=outcome)
    expected = {
        "35m": _burning("1h", "6h", "1d", "3d"),
        # The short windows forget, one after the other.
        "50m": _burning("6h", "1d", "3d"),
        "90m": _burning("1d", "3d"),
    }
    _judge(rules, story, expected)


def test_a_restart_neither_adds_failures_nor_hides_them(rules: Path) -> None:
    story = Story()
    for outcome, many in (("success", 98), ("timeout", 2)):
        samples = counting((30, many), (2, None), (28, many), start=5000)
        story.add(PROBES, samples, project="southwest", outcome=outcome)
    _judge(rules, story, {"34m": _burning("3d"), "55m": _burning("3d")})
    expr, series = _ratio("1h")
    value(rules, story, "55m", expr, {series: 0.02})


def test_projects_have_budgets_of_their_own(rules: Path) -> None:
    story = _probed(Story(), 20, success=0, timeout=10)
    _probed(story, 20, project="east", success=100000, timeout=0)
    _judge(rules, story, {"19m": _burning("1h", "6h", "1d", "3d")})


def test_three_days_are_remembered_each_moment_by_its_probes(rules: Path) -> None:
    hour, step = 60, 120
    story = Story(step=step)
    for outcome, failing, well in (("success", 80, 100), ("timeout", 20, 0)):
        samples = counting((60 * hour, well), (12 * hour, failing), step=step)
        story.add(PROBES, samples, project="southwest", outcome=outcome)
    expr, series = _ratio("3d")
    value(rules, story, "71h50m", expr, {series: 0.033}, every="10m")
