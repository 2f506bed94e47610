"""Alerts about consoles: one, most of a project's, and servers that are no longer watched."""

from pathlib import Path

from tests.monitoring.consoles import INCONCLUSIVE, RESTARTED, probed, unavailable
from tests.monitoring.promtool import ONE, Story, firing, following, holding, judge, level

CLOUD = {"project": "southwest", "source": "cloud"}
SUCCESS = "console_discovery_last_success_timestamp_seconds"
STALE_LIST = firing("ConsoleDiscoveryStale", "warning", instance=ONE, **CLOUD)
SHRUNK = firing("ConsoleInventoryShrunk", "warning", project="southwest", instance=ONE)


def test_a_console_is_unavailable_at_its_third_failure_in_a_row(rules: Path) -> None:
    story = probed(Story(), (3, "success"), (5, "server_error@api"), (2, "success"))
    alert = unavailable("server_error@api")
    judge(rules, story, {"4m30s": [], "5m": [alert], "7m30s": [alert], "8m": []})


def test_probes_that_prove_nothing_never_make_a_console_unavailable(rules: Path) -> None:
    story = Story()
    for outcome in INCONCLUSIVE:
        probed(story, (2, "timeout@api"), (10, f"{outcome}@api"), server=outcome)
    judge(rules, story, {"3m": [], "6m": [], "11m": []})


def test_one_outage_is_one_alert_whatever_its_probes_say_meanwhile(rules: Path) -> None:
    story = probed(
        Story(),
        (1, "success"),
        (3, "timeout@api"),
        (2, "throttled@api"),
        (2, "unauthorized@api"),
        (2, "not_found@api"),
        (1, "throttled@api"),
        (2, "success"),
    )
    alert = unavailable("timeout@api")
    same = {f"{minutes}m": [alert] for minutes in (3, 4, 5, 6, 7, 8, 9, 10)}
    judge(rules, story, {"2m30s": [], **same, "11m30s": []})


def test_a_restart_of_the_exporter_neither_raises_an_alert_nor_ends_one(rules: Path) -> None:
    story = Story().add("up", level((4, 1), (2, 0), (9, 1)))
    probed(
        story,
        *((1, "success"), (3, "timeout@api"), (2, None), (1, RESTARTED)),
        *((1, "throttled@api"), (1, "timeout@api"), (6, "success")),
    )
    probed(story, (4, "success"), (2, None), (1, RESTARTED), (8, "success"), server="web-01")
    alert = unavailable("timeout@api")
    same = {f"{minutes}m": [alert] for minutes in (3, 4, 5, 6, 7, 8)}
    judge(rules, story, {"2m30s": [], **same, "9m": [], "14m": []})


def test_a_removed_server_takes_its_alert_with_it(rules: Path) -> None:
    story = probed(Story().add("up", level((9, 1))), (5, "timeout@api"), (4, None))
    judge(rules, story, {"4m30s": [unavailable("timeout@api")], "5m": []})


def test_an_outage_first_seen_while_throttled_is_told_and_named_when_it_can_be(
    rules: Path,
) -> None:
    story = probed(Story(), (3, "rfb_error@rfb"), (2, "throttled@api"), (4, "rfb_error@rfb"))
    for name, values in story.series.items():
        # Prometheus scraped nothing yet while the server failed.
        story.series[name] = " ".join(["_"] * 12 + values.split()[12:]).replace("stale", "_", 1)
    expected = {
        "3m": [unavailable("unknown")],
        "4m30s": [unavailable("unknown")],
        "5m": [unavailable("rfb_error@rfb")],
        "8m": [unavailable("rfb_error@rfb")],
    }
    judge(rules, story, expected)


def test_the_same_id_elsewhere_has_nothing_to_do_with_it(rules: Path) -> None:
    story = probed(Story(), (8, "timeout@api"))
    probed(story, (8, "success"), project="east", region="cn-east-3")
    probed(story, (8, "success"), instance="two:10429")
    probed(story, (8, "page_error@page"), instance="three:10429")
    expected = [
        unavailable("timeout@api"),
        unavailable("page_error@page", instance="three:10429"),
    ]
    judge(rules, story, {"1m30s": [], "2m": expected, "7m": expected})


def test_a_server_without_a_region_is_told_of_all_the_same(rules: Path) -> None:
    story = probed(Story(), (8, "timeout"), region="")
    judge(rules, story, {"5m": [unavailable("timeout", region="")]})


def test_another_job_is_not_ours(rules: Path) -> None:
    story = probed(Story(), (8, "timeout@api"))
    for name in list(story.series):
        story.series[name.replace("console-exporter", "other")] = story.series.pop(name)
    judge(rules, story, {"7m": []})


def test_a_project_is_degraded_under_95_percent_of_20_consoles(rules: Path) -> None:
    story = Story()
    table = {(20, 2): True, (20, 1): False, (19, 19): False, (40, 40): True, (300, 0): False}
    for servers, broken in table:
        for number in range(servers):
            success = level((14, 0 if number < broken else 1))
            own = {"project": f"{broken} of {servers}", "server_id": str(number)}
            story.add("console_probe_success", success, **own)
    degraded = [
        firing("ConsoleFleetDegraded", "critical", project=f"{broken} of {servers}")
        for (servers, broken), is_degraded in table.items()
        if is_degraded
    ]
    judge(rules, story, {"9m30s": [], "10m30s": degraded})


def test_servers_under_80_percent_of_the_last_hours_most_are_told_for_an_hour(
    rules: Path,
) -> None:
    own = {"project": "southwest", "source": "static"}
    story = Story().add("console_discovery_servers", level((10, 100), (90, 79)), **own)
    story.add("console_discovery_servers", level((10, 100), (90, 80)), project="east", source="a")
    expected = {"9m": [], "14m": [], "16m": [SHRUNK], "69m": [SHRUNK], "71m": []}
    judge(rules, story, expected)


def test_a_project_that_lost_all_its_servers_shrank_and_one_that_has_none_did_not(
    rules: Path,
) -> None:
    own = {"project": "southwest", "source": "static"}
    story = Story().add("console_discovery_servers", level((10, 3), (10, 0)), **own)
    story.add("console_discovery_servers", level((20, 0)), project="east", source="static")
    judge(rules, story, {"16m": [SHRUNK]})


def test_another_exporter_of_the_job_that_ends_is_no_shrunk_inventory(rules: Path) -> None:
    own = {"project": "southwest", "source": "static"}
    story = Story().add("console_discovery_servers", level((30, 50)), **own)
    ended = level((10, 50), (20, None))
    story.add("console_discovery_servers", ended, **own, instance="two:10429")
    judge(rules, story, {"16m": [], "25m": []})


def test_servers_that_go_over_to_another_list_are_no_shrunk_inventory(rules: Path) -> None:
    story = Story().add("console_discovery_servers", level((10, 80), (20, 0)), **CLOUD)
    listed = level((10, 0), (20, 80))
    story.add("console_discovery_servers", listed, project="southwest", source="static")
    judge(rules, story, {"16m": [], "29m": []})


def test_a_list_is_stale_when_it_was_not_read_for_an_hour(rules: Path) -> None:
    story = Story().add(SUCCESS, holding((5, 1), (75, 0), (5, 1)), **CLOUD)
    story.add(SUCCESS, following((90, 3000)), project="east", source="file")
    expected = {"64m": [], "69m": [], "71m": [STALE_LIST], "79m": [STALE_LIST], "81m": []}
    judge(rules, story, expected)


def test_a_list_that_was_never_read_is_told_at_once_and_a_project_without_one_is_quiet(
    rules: Path,
) -> None:
    story = Story().add(SUCCESS, level((90, 0)), **CLOUD)
    story.add("console_discovery_servers", level((90, 5)), project="east", source="static")
    # Time begins at 0 here: an hour after it is long after.
    judge(rules, story, {"59m": [], "66m": [STALE_LIST]})
