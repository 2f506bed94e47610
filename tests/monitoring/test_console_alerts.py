"""Alerts about consoles: one server, many servers, and missing servers."""

from pathlib import Path

from tests.monitoring.consoles import INCONCLUSIVE, RESTARTED, add_server, unavailable
from tests.monitoring.promtool import (
    ONE,
    InputSeries,
    assert_firing,
    firing,
    following,
    holding,
    level,
)

CLOUD = {"project": "southwest", "source": "cloud"}
SUCCESS = "console_discovery_last_success_timestamp_seconds"
STALE_LIST = firing("ConsoleDiscoveryStale", "warning", instance=ONE, **CLOUD)
SHRUNK = firing("ConsoleInventoryShrunk", "warning", project="southwest", instance=ONE)


def test_console_is_unavailable_at_the_third_consecutive_failure(rules: Path) -> None:
    inputs = add_server(InputSeries(), (3, "success"), (5, "server_error@api"), (2, "success"))
    alert = unavailable("server_error@api")
    assert_firing(rules, inputs, {"4m30s": [], "5m": [alert], "7m30s": [alert], "8m": []})


def test_inconclusive_probes_never_make_a_console_unavailable(rules: Path) -> None:
    inputs = InputSeries()
    for outcome in INCONCLUSIVE:
        add_server(inputs, (2, "timeout@api"), (10, f"{outcome}@api"), server=outcome)
    assert_firing(rules, inputs, {"3m": [], "6m": [], "11m": []})


def test_one_outage_is_one_alert_whatever_the_outcomes_meanwhile(rules: Path) -> None:
    inputs = add_server(
        InputSeries(),
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
    assert_firing(rules, inputs, {"2m30s": [], **same, "11m30s": []})


def test_restart_of_the_exporter_neither_raises_nor_ends_an_alert(rules: Path) -> None:
    inputs = InputSeries().add("up", level((4, 1), (2, 0), (9, 1)))
    add_server(
        inputs,
        *((1, "success"), (3, "timeout@api"), (2, None), (1, RESTARTED)),
        *((1, "throttled@api"), (1, "timeout@api"), (6, "success")),
    )
    add_server(inputs, (4, "success"), (2, None), (1, RESTARTED), (8, "success"), server="web-01")
    alert = unavailable("timeout@api")
    same = {f"{minutes}m": [alert] for minutes in (3, 4, 5, 6, 7, 8)}
    assert_firing(rules, inputs, {"2m30s": [], **same, "9m": [], "14m": []})


def test_removed_server_ends_its_alert(rules: Path) -> None:
    inputs = add_server(InputSeries().add("up", level((9, 1))), (5, "timeout@api"), (4, None))
    assert_firing(rules, inputs, {"4m30s": [unavailable("timeout@api")], "5m": []})


def test_outage_first_seen_while_throttled_fires_and_gets_its_outcome_later(
    rules: Path,
) -> None:
    inputs = add_server(
        InputSeries(), (3, "rfb_error@rfb"), (2, "throttled@api"), (4, "rfb_error@rfb")
    )
    for name, values in inputs.series.items():
        # Prometheus did not scrape yet while the server failed.
        inputs.series[name] = " ".join(["_"] * 12 + values.split()[12:]).replace("stale", "_", 1)
    expected = {
        "3m": [unavailable("unknown")],
        "4m30s": [unavailable("unknown")],
        "5m": [unavailable("rfb_error@rfb")],
        "8m": [unavailable("rfb_error@rfb")],
    }
    assert_firing(rules, inputs, expected)


def test_same_id_in_another_project_or_exporter_is_another_server(rules: Path) -> None:
    inputs = add_server(InputSeries(), (8, "timeout@api"))
    add_server(inputs, (8, "success"), project="east", region="cn-east-3")
    add_server(inputs, (8, "success"), instance="two:10429")
    add_server(inputs, (8, "page_error@page"), instance="three:10429")
    expected = [
        unavailable("timeout@api"),
        unavailable("page_error@page", instance="three:10429"),
    ]
    assert_firing(rules, inputs, {"1m30s": [], "2m": expected, "7m": expected})


def test_server_without_a_region_fires_too(rules: Path) -> None:
    inputs = add_server(InputSeries(), (8, "timeout"), region="")
    assert_firing(rules, inputs, {"5m": [unavailable("timeout", region="")]})


def test_other_jobs_are_ignored(rules: Path) -> None:
    inputs = add_server(InputSeries(), (8, "timeout@api"))
    for name in list(inputs.series):
        inputs.series[name.replace("console-exporter", "other")] = inputs.series.pop(name)
    assert_firing(rules, inputs, {"7m": []})


def test_project_with_20_consoles_is_degraded_below_95_percent(rules: Path) -> None:
    inputs = InputSeries()
    table = {(20, 2): True, (20, 1): False, (19, 19): False, (40, 40): True, (300, 0): False}
    for servers, broken in table:
        for number in range(servers):
            success = level((14, 0 if number < broken else 1))
            own = {"project": f"{broken} of {servers}", "server_id": str(number)}
            inputs.add("console_probe_success", success, **own)
    degraded = [
        firing("ConsoleFleetDegraded", "critical", project=f"{broken} of {servers}")
        for (servers, broken), is_degraded in table.items()
        if is_degraded
    ]
    assert_firing(rules, inputs, {"9m30s": [], "10m30s": degraded})


def test_shrunk_inventory_fires_below_80_percent_of_the_maximum_of_the_last_hour(
    rules: Path,
) -> None:
    own = {"project": "southwest", "source": "static"}
    inputs = InputSeries().add("console_discovery_servers", level((10, 100), (90, 79)), **own)
    inputs.add("console_discovery_servers", level((10, 100), (90, 80)), project="east", source="a")
    expected = {"9m": [], "14m": [], "16m": [SHRUNK], "69m": [SHRUNK], "71m": []}
    assert_firing(rules, inputs, expected)


def test_inventory_shrinks_if_all_servers_vanish_but_not_if_there_were_none(
    rules: Path,
) -> None:
    own = {"project": "southwest", "source": "static"}
    inputs = InputSeries().add("console_discovery_servers", level((10, 3), (10, 0)), **own)
    inputs.add("console_discovery_servers", level((20, 0)), project="east", source="static")
    assert_firing(rules, inputs, {"16m": [SHRUNK]})


def test_removed_exporter_is_not_a_shrunk_inventory(rules: Path) -> None:
    own = {"project": "southwest", "source": "static"}
    inputs = InputSeries().add("console_discovery_servers", level((30, 50)), **own)
    ended = level((10, 50), (20, None))
    inputs.add("console_discovery_servers", ended, **own, instance="two:10429")
    assert_firing(rules, inputs, {"16m": [], "25m": []})


def test_servers_that_move_to_another_source_are_not_a_shrunk_inventory(rules: Path) -> None:
    inputs = InputSeries().add("console_discovery_servers", level((10, 80), (20, 0)), **CLOUD)
    listed = level((10, 0), (20, 80))
    inputs.add("console_discovery_servers", listed, project="southwest", source="static")
    assert_firing(rules, inputs, {"16m": [], "29m": []})


def test_server_list_is_stale_after_an_hour_without_a_refresh(rules: Path) -> None:
    inputs = InputSeries().add(SUCCESS, holding((5, 1), (75, 0), (5, 1)), **CLOUD)
    inputs.add(SUCCESS, following((90, 3000)), project="east", source="file")
    expected = {"64m": [], "69m": [], "71m": [STALE_LIST], "79m": [STALE_LIST], "81m": []}
    assert_firing(rules, inputs, expected)


def test_list_that_was_never_read_is_stale_and_a_project_without_one_is_not(
    rules: Path,
) -> None:
    inputs = InputSeries().add(SUCCESS, level((90, 0)), **CLOUD)
    inputs.add("console_discovery_servers", level((90, 5)), project="east", source="static")
    # Time starts at 0 here, so a timestamp of 0 is an hour old after an hour.
    assert_firing(rules, inputs, {"59m": [], "66m": [STALE_LIST]})
