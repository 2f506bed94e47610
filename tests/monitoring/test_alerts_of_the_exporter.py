"""Alerts about the exporter itself: down, stalled, misconfigured, with servers gone stale."""

from pathlib import Path

from tests.monitoring.promtool import (
    ONE,
    Story,
    counting,
    firing,
    following,
    holding,
    judge,
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


def test_an_exporter_that_is_down_is_told_after_ten_minutes_not_after_nine(rules: Path) -> None:
    story = Story().add("up", level((2, 1), (12, 0), (2, 1)))
    judge(rules, story, {"11m": [], "11m30s": [], "12m30s": [DOWN], "14m30s": []})


def test_a_job_that_prometheus_knows_nothing_of_is_down_by_its_name(rules: Path) -> None:
    story = Story().add("up", level((20, 1)), job="node", instance="one:9100")
    judge(rules, story, {"9m": [], "11m": [DOWN]})


def test_a_job_whose_targets_vanish_is_down(rules: Path) -> None:
    story = Story().add("up", level((5, 1), (20, None)))
    judge(rules, story, {"14m": [], "16m": [DOWN]})


def test_a_missed_scrape_starts_the_ten_minutes_anew(rules: Path) -> None:
    story = Story().add("up", level((1, 1), (7, 0), (0.5, 1), (7, 0)))
    judge(rules, story, {"11m30s": [], "15m": []})


def test_one_exporter_that_is_up_is_enough(rules: Path) -> None:
    story = Story().add("up", level((20, 0))).add("up", level((20, 1)), instance=TWO)
    judge(rules, story, {"15m": []})


def _verdicts(story: Story, *moving: tuple[float, float | None], **own: str) -> Story:
    """Tell of a server whose probes, while there are any, all have a verdict."""
    for name in (ATTEMPT, VERDICT):
        story.add(name, holding(*moving), **SERVER | own)
    return story


def test_a_scheduler_that_starts_no_probes_is_stalled(rules: Path) -> None:
    story = Story().add(TARGETS, level((20, 2)))
    _verdicts(story, (5, 1), (15, 0))
    judge(rules, story, {"7m30s": [], "10m": [STALLED]})


def test_only_the_exporter_that_stalls_is_told_of(rules: Path) -> None:
    story = Story().add(TARGETS, level((20, 2))).add(TARGETS, level((20, 2)), instance=TWO)
    _verdicts(story, (5, 1), (15, 0))
    _verdicts(story, (20, 1), instance=TWO)
    judge(rules, story, {"10m": [STALLED], "15m": [STALLED]})


def test_one_server_that_is_probed_shows_that_the_scheduler_works(rules: Path) -> None:
    story = Story().add(TARGETS, level((20, 2)))
    _verdicts(story, (5, 1), (15, 0))
    _verdicts(story, (20, 1), project="east")
    judge(rules, story, {"10m": [], "18m": []})


def test_a_scheduler_that_never_started_is_stalled_and_one_with_nothing_to_do_is_not(
    rules: Path,
) -> None:
    story = Story().add(TARGETS, level((20, 2))).add(TARGETS, level((20, 0)), instance=TWO)
    judge(rules, story, {"3m30s": [], "5m": [STALLED]})


def test_who_was_told_to_wait_by_the_cloud_is_not_stalled(rules: Path) -> None:
    story = Story().add(TARGETS, level((30, 2)))
    _verdicts(story, (5, 1), (25, 0))
    story.add(RESUME, level((5, 0), (25, 15 * 60)), project="southwest")
    judge(rules, story, {"10m": [], "17m": [], "19m30s": [STALLED]})


def test_a_restart_is_no_stall(rules: Path) -> None:
    story = Story().add(TARGETS, level((5, 2), (3, None), (10, 2)))
    story.add(ATTEMPT, following((5, 0), (4, None), (9, 0)), **SERVER)
    judge(rules, story, {f"{half / 2:g}m".replace(".5m", "m30s"): [] for half in range(10, 30)})


def test_a_refused_reload_is_told_after_ten_minutes(rules: Path) -> None:
    name = "console_exporter_config_last_reload_successful"
    story = (
        Story().add(name, level((1, 1), (13, 0), (3, 1))).add(name, level((20, 1)), instance=TWO)
    )
    judge(rules, story, {"10m": [], "11m30s": [RELOAD], "15m": []})


def _only(name: str) -> str:
    return f'ALERTS{{alertstate="firing", alertname="{name}"}}'


def _stale(story: Story) -> Story:
    return story.add(INFO, level((40, 1)), **SERVER, region="r", depth="api")


def test_a_server_that_is_probed_in_vain_goes_stale_after_five_intervals(rules: Path) -> None:
    story = _stale(Story()).add(OVERDUE, level((40, 0)))
    story.add(ATTEMPT, holding((30, 1)), **SERVER)
    story.add(VERDICT, holding((5, 1), (10, 0), (15, 1)), **SERVER)
    judge(rules, story, {"9m30s": [], "12m": [STALE], "16m": []})


def test_a_server_that_never_had_a_verdict_goes_stale(rules: Path) -> None:
    story = _stale(Story()).add(OVERDUE, level((40, 0)))
    story.add(ATTEMPT, holding((30, 1)), **SERVER)
    judge(rules, story, {"5m": [], "7m": [STALE]})


def test_servers_that_are_not_probed_go_stale_whether_they_ever_were_or_not(rules: Path) -> None:
    story = Story().add(OVERDUE, level((5, 0), (25, 2)))
    story.add(ATTEMPT, holding((5, 1), (25, 0)), **SERVER)
    story.add(VERDICT, holding((5, 1), (25, 0)), **SERVER)
    for server in ("db-01", "never"):
        own = {"project": "southwest", "server_id": f"id-{server}", "server": server}
        story.add(INFO, level((30, 1)), **own, region="r", depth="api")
    judge(rules, story, {"9m": [STALE], "12m": [STALE]}, expr=_only("ConsoleProbeStale"))
    judge(rules, story, {"12m": ["{}"]}, expr="count(project:console_servers_stale:count == 2)")


def test_a_long_interval_of_its_own_makes_no_server_stale(rules: Path) -> None:
    quarterly = [float(n * 15 // 900 * 900) for n in range(160)]
    story = _stale(Story()).add(OVERDUE, level((40, 0)))
    story.add(ATTEMPT, quarterly, **SERVER).add(VERDICT, quarterly, **SERVER)
    story.add(INFO, level((40, 1)), project="southwest", server_id="new", server="new")
    judge(rules, story, {f"{m}m": [] for m in (7, 14, 16, 29, 31, 39)})


def test_a_restart_makes_no_server_stale(rules: Path) -> None:
    story = Story().add(INFO, level((10, 1), (1, None), (20, 1)), **SERVER, region="r")
    story.add(OVERDUE, level((10, 0), (1, None), (20, 0)))
    story.add(ATTEMPT, following((10, 0), (1.5, None), (19, 0)), **SERVER)
    # The first probes after it prove nothing; the last verdict before it is not that old.
    story.add(VERDICT, following((10, 0), (4.5, None), (16, 0)), **SERVER)
    judge(rules, story, {f"{minutes}m": [] for minutes in range(10, 26)})


def test_skipped_probes_exhaust_the_budget_after_a_quarter_of_an_hour(rules: Path) -> None:
    story = Story()
    for project, minutes in (("southwest", 30), ("north", 5), ("east", 0)):
        skipped = counting((5, 0), (minutes, 1), (40 - minutes, 0))
        story.add("console_probes_total", skipped, project=project, outcome="skipped")
    judge(rules, story, {"19m": [], "21m": [EXHAUSTED], "34m": [EXHAUSTED], "44m": []})


def test_a_queue_that_grows_exhausts_the_budget_and_one_that_is_long_does_not(
    rules: Path,
) -> None:
    name = "console_throttle_queue_length"
    growing: list[float | None] = [n / 4 for n in range(160)]
    story = Story().add(name, growing, project="southwest")
    story.add(name, level((40, 500)), project="east")
    emptied: list[float | None] = [n % 4 for n in range(160)]
    story.add(name, emptied, project="north")
    judge(rules, story, {"14m": [], "25m": [EXHAUSTED], "39m": [EXHAUSTED]})
