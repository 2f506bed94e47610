"""Failure ratios and burn rate alerts over long and short windows."""

from pathlib import Path

from tests.monitoring.consoles import INCONCLUSIVE
from tests.monitoring.promtool import (
    JOB,
    InputSeries,
    assert_firing,
    assert_query,
    counting,
    firing,
    labels,
)

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


def _probed(
    inputs: InputSeries, minutes: float, project: str = "southwest", **per_minute: float
) -> InputSeries:
    for outcome, many in per_minute.items():
        inputs.add(PROBES, counting((minutes, many)), project=project, outcome=outcome)
    return inputs


def _ratio(window: str) -> tuple[str, str]:
    """Return a query of the rounded failure ratio, and the series of its result."""
    own = labels(job=JOB, project="southwest")
    return f"round(project:console_probe_failures:ratio_rate{window}{own}, 0.001)", own


def _judge(rules: Path, inputs: InputSeries, expected: dict[str, list[str]]) -> None:
    expr = 'ALERTS{alertstate="firing", alertname="ConsoleErrorBudgetBurn"}'
    assert_firing(rules, inputs, expected, expr=expr)


def test_each_pair_of_windows_has_its_own_threshold(rules: Path) -> None:
    table: dict[float, tuple[str, ...]] = {
        15: ("1h", "6h", "1d", "3d"),
        14: ("6h", "1d", "3d"),
        5: ("1d", "3d"),
        2: ("3d",),
        0.9: (),
        0: (),
    }
    inputs = InputSeries()
    for failed in table:
        half = failed / 2
        succeeding = 100 - failed
        _probed(inputs, 40, f"{failed} %", success=succeeding, server_error=half, rfb_error=half)
    expected = [
        alert
        for failed, burning in table.items()
        for alert in _burning(*burning, project=f"{failed} %")
    ]
    _judge(rules, inputs, {"39m": expected})


def test_inconclusive_probes_use_no_error_budget(rules: Path) -> None:
    inputs = InputSeries()
    for outcome in INCONCLUSIVE:
        _probed(inputs, 30, f"all {outcome}", success=10, timeout=0, **{outcome: 1000})
    _judge(rules, inputs, {"10m": [], "29m": []})


def test_inconclusive_probes_do_not_lower_the_failure_ratio(rules: Path) -> None:
    inputs = _probed(InputSeries(), 20, success=50, timeout=50, throttled=10000)
    expr, series = _ratio("5m")
    assert_query(rules, inputs, "19m", expr, {series: 0.5})


def test_windows_with_few_verdicts_do_not_fire(rules: Path) -> None:
    inputs = _probed(InputSeries(), 120, success=0, timeout=0.4)
    _judge(rules, inputs, {"60m": [], "110m": _burning("6h", "1d", "3d")})


def test_short_windows_end_the_alert_after_an_outage(rules: Path) -> None:
    inputs = InputSeries()
    for outcome, failing, succeeding in (("success", 0, 100), ("timeout", 100, 0)):
        samples = counting((20, succeeding), (20, failing), (60, succeeding))
        inputs.add(PROBES, samples, project="southwest", outcome=outcome)
    expected = {
        "35m": _burning("1h", "6h", "1d", "3d"),
        # The short windows pass the outage one after the other.
        "50m": _burning("6h", "1d", "3d"),
        "90m": _burning("1d", "3d"),
    }
    _judge(rules, inputs, expected)


def test_restart_neither_adds_nor_hides_failures(rules: Path) -> None:
    inputs = InputSeries()
    for outcome, many in (("success", 98), ("timeout", 2)):
        samples = counting((30, many), (2, None), (28, many), start=5000)
        inputs.add(PROBES, samples, project="southwest", outcome=outcome)
    _judge(rules, inputs, {"34m": _burning("3d"), "55m": _burning("3d")})
    expr, series = _ratio("1h")
    assert_query(rules, inputs, "55m", expr, {series: 0.02})


def test_each_project_has_its_own_budget(rules: Path) -> None:
    inputs = _probed(InputSeries(), 20, success=0, timeout=10)
    _probed(inputs, 20, project="east", success=100000, timeout=0)
    _judge(rules, inputs, {"19m": _burning("1h", "6h", "1d", "3d")})


def test_long_windows_are_weighted_by_the_number_of_probes(rules: Path) -> None:
    hour, step = 60, 120
    inputs = InputSeries(step=step)
    for outcome, failing, succeeding in (("success", 80, 100), ("timeout", 20, 0)):
        samples = counting((60 * hour, succeeding), (12 * hour, failing), step=step)
        inputs.add(PROBES, samples, project="southwest", outcome=outcome)
    expr, series = _ratio("3d")
    assert_query(rules, inputs, "71h50m", expr, {series: 0.033}, every="10m")
