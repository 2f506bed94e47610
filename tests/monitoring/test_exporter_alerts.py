"""Alerts about the exporter: down, stalled, failed reload, stale servers, skipped probes."""

from pathlib import Path

from tests.monitoring.promtool import (
    ONE,
    InputSeries,
    assert_firing,
    counting,
    firing,
    following,
    holding,
    level,
)

TWO = "two:10429"
DOWN = firing("ConsoleExporterDown", "critical")
STALLED = firing("ConsoleSchedulerStalled", "critical", instance=ONE)
RELOAD = firing("ConsoleConfigReloadFailed", "warning", instance=ONE)
STALE = firing("ConsoleProbeStale", "warning", project="southwest")
EXHAUSTED = firing("ConsoleProbeBudgetExhausted", "warning", project="southwest")

SERVER = {"project": "southwest", "server_id": "id-db-01", "server": "db-01"}
ATTEMPT = "console_probe_last_attempt_timestamp_seconds"
VERDICT = "console_probe_last_verdict_timestamp_seconds"
INFO = "console_server_info"
TARGETS = "console_exporter_targets"
OVERDUE = "console_scheduler_overdue_servers"
RESUME = "console_throttle_resume_timestamp_seconds"


def test_exporter_down_fires_after_ten_minutes(rules: Path) -> None:
    inputs = InputSeries().add("up", level((2, 1), (12, 0), (2, 1)))
    assert_firing(rules, inputs, {"11m": [], "11m30s": [], "12m30s": [DOWN], "14m30s": []})


def test_unknown_job_is_down(rules: Path) -> None:
    inputs = InputSeries().add("up", level((20, 1)), job="node", instance="one:9100")
    assert_firing(rules, inputs, {"9m": [], "11m": [DOWN]})


def test_job_whose_targets_vanish_is_down(rules: Path) -> None:
    inputs = InputSeries().add("up", level((5, 1), (20, None)))
    assert_firing(rules, inputs, {"14m": [], "16m": [DOWN]})


def test_successful_scrape_restarts_the_ten_minutes(rules: Path) -> None:
    inputs = InputSeries().add("up", level((1, 1), (7, 0), (0.5, 1), (7, 0)))
    assert_firing(rules, inputs, {"11m30s": [], "15m": []})


def test_job_is_up_if_one_exporter_is_up(rules: Path) -> None:
    inputs = InputSeries().add("up", level((20, 0))).add("up", level((20, 1)), instance=TWO)
    assert_firing(rules, inputs, {"15m": []})


def _verdicts(inputs: InputSeries, *moving: tuple[float, float | None], **own: str) -> InputSeries:
    """Add the timestamps of a server whose probes are all conclusive."""
    for name in (ATTEMPT, VERDICT):
        inputs.add(name, holding(*moving), **SERVER | own)
    return inputs


def test_scheduler_that_starts_no_probes_is_stalled(rules: Path) -> None:
    inputs = InputSeries().add(TARGETS, level((20, 2)))
    _verdicts(inputs, (5, 1), (15, 0))
    assert_firing(rules, inputs, {"7m30s": [], "10m": [STALLED]})


def test_only_the_stalled_exporter_fires(rules: Path) -> None:
    inputs = InputSeries().add(TARGETS, level((20, 2))).add(TARGETS, level((20, 2)), instance=TWO)
    _verdicts(inputs, (5, 1), (15, 0))
    _verdicts(inputs, (20, 1), instance=TWO)
    assert_firing(rules, inputs, {"10m": [STALLED], "15m": [STALLED]})


def test_scheduler_is_not_stalled_if_one_server_is_probed(rules: Path) -> None:
    inputs = InputSeries().add(TARGETS, level((20, 2)))
    _verdicts(inputs, (5, 1), (15, 0))
    _verdicts(inputs, (20, 1), project="east")
    assert_firing(rules, inputs, {"10m": [], "18m": []})


def test_scheduler_that_never_probed_is_stalled_unless_it_has_no_servers(
    rules: Path,
) -> None:
    inputs = InputSeries().add(TARGETS, level((20, 2))).add(TARGETS, level((20, 0)), instance=TWO)
    assert_firing(rules, inputs, {"3m30s": [], "5m": [STALLED]})


def test_pause_that_the_cloud_asked_for_is_not_a_stall(rules: Path) -> None:
    inputs = InputSeries().add(TARGETS, level((30, 2)))
    _verdicts(inputs, (5, 1), (25, 0))
    inputs.add(RESUME, level((5, 0), (25, 15 * 60)), project="southwest")
    assert_firing(rules, inputs, {"10m": [], "17m": [], "19m30s": [STALLED]})


def test_restart_is_not_a_stall(rules: Path) -> None:
    inputs = InputSeries().add(TARGETS, level((5, 2), (3, None), (10, 2)))
    inputs.add(ATTEMPT, following((5, 0), (4, None), (9, 0)), **SERVER)
    assert_firing(
        rules, inputs, {f"{half / 2:g}m".replace(".5m", "m30s"): [] for half in range(10, 30)}
    )


def test_failed_reload_fires_after_ten_minutes(rules: Path) -> None:
    name = "console_exporter_config_last_reload_successful"
    inputs = (
        InputSeries()
        .add(name, level((1, 1), (13, 0), (3, 1)))
        .add(name, level((20, 1)), instance=TWO)
    )
    assert_firing(rules, inputs, {"10m": [], "11m30s": [RELOAD], "15m": []})


def _only(name: str) -> str:
    return f'ALERTS{{alertstate="firing", alertname="{name}"}}'


def _stale(inputs: InputSeries) -> InputSeries:
    return inputs.add(INFO, level((40, 1)), **SERVER, region="r", depth="api")


def test_server_is_stale_after_five_intervals_of_inconclusive_probes(rules: Path) -> None:
    inputs = _stale(InputSeries()).add(OVERDUE, level((40, 0)))
    inputs.add(ATTEMPT, holding((30, 1)), **SERVER)
    inputs.add(VERDICT, holding((5, 1), (10, 0), (15, 1)), **SERVER)
    assert_firing(rules, inputs, {"9m30s": [], "12m": [STALE], "16m": []})


def test_server_that_never_had_a_verdict_is_stale(rules: Path) -> None:
    inputs = _stale(InputSeries()).add(OVERDUE, level((40, 0)))
    inputs.add(ATTEMPT, holding((30, 1)), **SERVER)
    assert_firing(rules, inputs, {"5m": [], "7m": [STALE]})


def test_servers_without_probes_are_stale(rules: Path) -> None:
    inputs = InputSeries().add(OVERDUE, level((5, 0), (25, 2)))
    inputs.add(ATTEMPT, holding((5, 1), (25, 0)), **SERVER)
    inputs.add(VERDICT, holding((5, 1), (25, 0)), **SERVER)
    for server in ("db-01", "never"):
        own = {"project": "southwest", "server_id": f"id-{server}", "server": server}
        inputs.add(INFO, level((30, 1)), **own, region="r", depth="api")
    assert_firing(rules, inputs, {"9m": [STALE], "12m": [STALE]}, expr=_only("ConsoleProbeStale"))
    assert_firing(
        rules, inputs, {"12m": ["{}"]}, expr="count(project:console_servers_stale:count == 2)"
    )


def test_server_with_a_longer_interval_is_not_stale(rules: Path) -> None:
    quarterly = [float(n * 15 // 900 * 900) for n in range(160)]
    inputs = _stale(InputSeries()).add(OVERDUE, level((40, 0)))
    inputs.add(ATTEMPT, quarterly, **SERVER).add(VERDICT, quarterly, **SERVER)
    inputs.add(INFO, level((40, 1)), project="southwest", server_id="new", server="new")
    assert_firing(rules, inputs, {f"{m}m": [] for m in (7, 14, 16, 29, 31, 39)})


def test_restart_makes_no_server_stale(rules: Path) -> None:
    inputs = InputSeries().add(INFO, level((10, 1), (1, None), (20, 1)), **SERVER, region="r")
    inputs.add(OVERDUE, level((10, 0), (1, None), (20, 0)))
    inputs.add(ATTEMPT, following((10, 0), (1.5, None), (19, 0)), **SERVER)
    # The first probes after the restart are inconclusive; the last verdict is recent enough.
    inputs.add(VERDICT, following((10, 0), (4.5, None), (16, 0)), **SERVER)
    assert_firing(rules, inputs, {f"{minutes}m": [] for minutes in range(10, 26)})


def test_skipped_probes_fire_budget_exhausted_after_15_minutes(rules: Path) -> None:
    inputs = InputSeries()
    for project, minutes in (("southwest", 30), ("north", 5), ("east", 0)):
        skipped = counting((5, 0), (minutes, 1), (40 - minutes, 0))
        inputs.add("console_probes_total", skipped, project=project, outcome="skipped")
    assert_firing(rules, inputs, {"19m": [], "21m": [EXHAUSTED], "34m": [EXHAUSTED], "44m": []})


def test_growing_queue_fires_budget_exhausted_and_a_long_one_does_not(
    rules: Path,
) -> None:
    name = "console_throttle_queue_length"
    growing: list[float | None] = [n / 4 for n in range(160)]
    inputs = InputSeries().add(name, growing, project="southwest")
    inputs.add(name, level((40, 500)), project="east")
    emptied: list[float | None] = [n % 4 for n in range(160)]
    inputs.add(name, emptied, project="north")
    assert_firing(rules, inputs, {"14m": [], "25m": [EXHAUSTED], "39m": [EXHAUSTED]})
