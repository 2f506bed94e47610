"""The dashboards query existing metrics, are described, and are laid out without gaps."""

import itertools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from exporter.metrics.catalog import CATALOG, Kind, Scope
from exporter.outcome import Outcome, Verdict
from monitoring.alerts import alerts
from monitoring.dashboards import all_dashboards, layout, panels, value_mappings, value_panels
from monitoring.parameters import Parameters
from monitoring.recording import recording_rules
from monitoring.rule import INCONCLUSIVE
from tests.monitoring.dashboard_queries import EVERYTHING, panels_of, queries_of
from tests.monitoring.selectors import Matcher, selectors

DASHBOARDS: dict[str, dict[str, Any]] = {
    dashboard["uid"]: dashboard
    for dashboard in map(json.loads, all_dashboards(Parameters()).values())
}
PANELS = [
    pytest.param(dashboard, panel, id=f"{uid}-{panel['title']}")
    for uid, dashboard in DASHBOARDS.items()
    for panel in panels_of(dashboard)
]
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
each_panel = pytest.mark.parametrize(("dashboard", "panel"), PANELS)

UNUSED: dict[str, str] = {}
"""Metrics that no dashboard and no rule uses, with the reason."""


def names_of(query: str) -> set[str]:
    return {selector.name for selector in selectors(query)}


def exported() -> set[str]:
    """Return the names of all series that the exporter exposes."""
    parts = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}
    own = {metric.name + part for metric in CATALOG for part in parts.get(metric.kind, ("",))}
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return own | {sample.name for family in registry.collect() for sample in family.samples}


def used_by_dashboards() -> set[str]:
    values = {**EVERYTHING, "server": "db-01", "server_id": "0001"}
    return {
        name
        for dashboard in DASHBOARDS.values()
        for query in queries_of(dashboard, values)
        for name in names_of(
            query.expression if "{" in query.expression else f"{query.expression}{{}}"
        )
    }


def used_by_rules() -> set[str]:
    return {
        name
        for file in Path("rules").glob("*ing.yaml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        for name in names_of(rule["expr"])
    } | {name for alert in alerts(Parameters()) for name in names_of(alert.expr)}


def test_outcomes_equal_those_of_the_exporter() -> None:
    assert tuple(value_mappings.OUTCOME_COLORS) == tuple(Outcome)
    inconclusive = {outcome for outcome in Outcome if outcome.verdict is Verdict.INCONCLUSIVE}
    assert set(INCONCLUSIVE) == inconclusive
    assert {value_mappings.YELLOW} == {
        value_mappings.OUTCOME_COLORS[outcome] for outcome in inconclusive
    }


def test_file_names_and_uids_are_stable() -> None:
    assert set(all_dashboards(Parameters())) == {
        "fleet.json", "server.json", "api.json", "exporter.json", "slo.json"
    }  # fmt: skip
    assert set(DASHBOARDS) == {
        "console-fleet", "console-server", "console-api", "console-exporter", "console-slo"
    }  # fmt: skip


class TestLayout:
    @each_dashboard
    def test_panels_fill_24_columns_without_overlap(self, dashboard: dict[str, Any]) -> None:
        taken: dict[tuple[int, int], str] = {}
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert 0 <= place["x"] < place["x"] + place["w"] <= layout.COLUMNS
            across = range(place["x"], place["x"] + place["w"])
            down = range(place["y"], place["y"] + place["h"])
            for cell in itertools.product(across, down):
                assert cell not in taken, f"{panel['title']} overlaps {taken[cell]}"
                taken[cell] = panel["title"]
        lines = {y for _, y in taken}
        assert lines == set(range(max(lines) + 1)), "there is a gap"
        assert len(taken) == layout.COLUMNS * len(lines), "a line is not filled"

    @each_dashboard
    def test_panel_ids_and_titles_are_unique(self, dashboard: dict[str, Any]) -> None:
        for key in ("id", "title"):
            seen = [panel[key] for panel in panels_of(dashboard)]
            assert len(seen) == len(set(seen))
        assert all(panel["id"] > 0 for panel in dashboard["panels"])

    def test_panel_id_stays_when_panels_are_added(self) -> None:
        def ids(*titles: str) -> dict[str | None, int | None]:
            lines = (layout.line(1, (24,), blank(title)) for title in titles)
            rows = [layout.row("row", *lines)]
            return {panel.title: panel.id_val for panel in layout.placed(rows)}

        before, after = ids("a", "b"), ids("new", "b", "a")
        assert before.items() <= after.items()

    def test_line_that_is_not_filled_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="24"):
            layout.line(4, (12, 13), blank("a"), blank("b"))

    def test_two_panels_with_the_same_title_are_an_error(self) -> None:
        line = layout.line(1, (12, 12), blank("same"), blank("same"))
        with pytest.raises(ValueError, match="same"):
            layout.placed([layout.row("row", line)])

    def test_first_line_of_the_fleet_dashboard_is_the_summary(self) -> None:
        first = panels_of(DASHBOARDS["console-fleet"])[:6]
        assert [panel["title"] for panel in first] == [
            "Servers", "Reachable", "Broken", "Stale", "Inconclusive", "Error budget left"
        ]  # fmt: skip
        assert {panel["gridPos"]["y"] for panel in first} == {1}


class TestPanels:
    @each_panel
    def test_description_explains_the_panel(
        self, dashboard: dict[str, Any], panel: dict[str, Any]
    ) -> None:
        description = panel["description"]
        assert dashboard["description"]
        assert description.endswith(".")
        assert len(description.split()) >= 7
        assert not re.search(r"[{}]|_total|rate\(|sum\b.*\bby\b", description), "repeats the query"

    @each_panel
    def test_has_a_unit(self, dashboard: dict[str, Any], panel: dict[str, Any]) -> None:
        assert dashboard["uid"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        if panel["type"] == "table":
            assert titled(panel) or panel["title"] == "Attributes"

    @each_panel
    def test_legends_are_set_and_unique(
        self, dashboard: dict[str, Any], panel: dict[str, Any]
    ) -> None:
        assert dashboard["uid"]
        if panel["type"] in {"timeseries", "state-timeline", "status-history", "bargauge"}:
            legends = [target["legendFormat"] for target in panel["targets"]]
            assert "__auto" not in legends
            assert len(legends) == len(set(legends))

    @each_panel
    def test_labels_of_a_legend_are_in_the_result(
        self, dashboard: dict[str, Any], panel: dict[str, Any]
    ) -> None:
        assert dashboard["uid"]
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            if grouped:
                assert named <= set(re.split(", ", grouped[0])), target["expr"]

    @each_panel
    def test_states_have_value_mappings(
        self, dashboard: dict[str, Any], panel: dict[str, Any]
    ) -> None:
        assert dashboard["uid"]
        if panel["type"] in {"state-timeline", "status-history"}:
            config = panel["fieldConfig"]
            mappings = [config["defaults"].get("mappings")] + [
                each["value"]
                for override in config["overrides"]
                for each in override["properties"]
                if each["id"] == "mappings"
            ]
            assert sum(map(bool, mappings)) == len(panel["targets"])

    def test_latency_panel_has_exemplars(self) -> None:
        shown = {
            query.name
            for query in queries_of(DASHBOARDS["console-api"])
            if query.exemplars and "histogram_quantile" in query.expression
        }
        assert shown == {"Request latency"}


class TestVariables:
    @each_dashboard
    def test_used_and_defined_variables_are_the_same(self, dashboard: dict[str, Any]) -> None:
        text = json.dumps(dashboard)
        used = {name for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith("__")}
        defined = {variable["name"] for variable in dashboard["templating"]["list"]}
        assert used == defined

    @each_dashboard
    def test_come_after_the_variables_that_they_use(self, dashboard: dict[str, Any]) -> None:
        known: set[str] = set()
        for variable in dashboard["templating"]["list"]:
            needed = set(re.findall(r"\$\{?(\w+)", json.dumps(variable["query"])))
            assert needed <= known
            known.add(variable["name"])
            if variable["type"] == "query":
                assert variable["sort"] == 1

    def test_server_is_selected_by_id(self) -> None:
        dashboard = DASHBOARDS["console-server"]
        single = {
            variable["name"]
            for variable in dashboard["templating"]["list"]
            if not variable["multi"] and variable["type"] == "query"
        }
        assert single == {"project", "server", "server_id"}
        by_id = {
            Matcher("project", "=", "$project"),
            Matcher("server_id", "=", "$server_id"),
        }
        for panel in panels_of(dashboard):
            for target in panel["targets"]:
                for selector in selectors(target["expr"]):
                    assert by_id <= set(selector.matchers)

    def test_broken_servers_are_found_by_id(self) -> None:
        (broken,) = (
            query for query in queries_of(DASHBOARDS["console-fleet"]) if query.name == "broken"
        )
        result = 'console{project="a",server="db-01",server_id="0001-x"} 3 1700000000000'
        assert re.findall(broken.pattern, result) == ["0001-x"]
        assert broken.expression.startswith("topk(20, ")


class TestLinks:
    @each_dashboard
    def test_lead_to_all_dashboards_with_variables_and_time(
        self, dashboard: dict[str, Any]
    ) -> None:
        (link,) = dashboard["links"]
        assert link["type"] == "dashboards"
        assert link["includeVars"]
        assert link["keepTime"]
        assert "placement" not in link
        assert all(set(link["tags"]) <= set(other["tags"]) for other in DASHBOARDS.values())

    @each_panel
    def test_of_a_table_row_set_the_variables_of_a_dashboard(
        self, dashboard: dict[str, Any], panel: dict[str, Any]
    ) -> None:
        columns = panel.get("transformations", [{}])[-1].get("options", {}).get("indexByName", {})
        for link in re.findall(r'"url": "(/d/[^"]*)"', json.dumps(panel)):
            address = urlsplit(link)
            target = DASHBOARDS[address.path.removeprefix("/d/")]
            variables = {variable["name"] for variable in target["templating"]["list"]}
            given = {name.removeprefix("var-") for name, _ in parse_qsl(address.query)}
            assert given <= variables
            if target is DASHBOARDS["console-server"]:
                assert {"project", "server", "server_id"} <= given
            assert set(re.findall(r"__data\.fields\.(\w+)", link)) <= set(columns)
            kept = set(re.findall(r"\{(\w+):queryparam\}", link))
            assert kept == {"datasource", "job", "instance"} <= variables
            assert "${__url_time_range}" in link
            assert dashboard["uid"]

    def test_of_alerts_set_variables_that_the_dashboard_has(self) -> None:
        for alert in alerts(Parameters()):
            target = DASHBOARDS[alert.dashboard]
            variables = {variable["name"] for variable in target["templating"]["list"]}
            assert set(alert.scope) <= variables, alert.name

    def test_of_firing_alerts_lead_to_the_runbooks(self) -> None:
        text = json.dumps(DASHBOARDS["console-fleet"])
        address = f"{Parameters().runbooks_url}/${{__data.fields.alertname}}.md"
        assert address in text


class TestQueries:
    def test_every_metric_is_used_by_a_dashboard_or_a_rule(self) -> None:
        used = used_by_dashboards() | used_by_rules()
        families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} | used
        assert {metric.name for metric in CATALOG} - families == set(UNUSED)

    def test_used_metrics_exist(self) -> None:
        prometheus = {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}
        recorded = {rule.record for rule in recording_rules(Parameters())}
        known = exported() | recorded | prometheus
        assert (used_by_dashboards() | used_by_rules()) <= known

    def test_used_labels_are_labels_of_the_metric(self) -> None:
        labels = {metric.name: {*metric.labels, "job", "instance", "le"} for metric in CATALOG}
        for dashboard in DASHBOARDS.values():
            for panel in panels_of(dashboard):
                for target in panel["targets"]:
                    for selector in selectors(target["expr"]):
                        known = labels.get(re.sub("_(bucket|sum|count)$", "", selector.name))
                        used = {matcher.label for matcher in selector.matchers}
                        assert known is None or used <= known, selector

    def test_no_panel_shows_one_series_per_server(self) -> None:
        of_servers = {metric.name for metric in CATALOG if metric.scope is Scope.SERVER}
        for uid in DASHBOARDS.keys() - {"console-server"}:
            for panel in panels_of(DASHBOARDS[uid]):
                for target in panel["targets"]:
                    query = target["expr"]
                    if not names_of(query) & of_servers:
                        continue
                    grouped = re.match(r"\w+\((\w+) by \(([^)]*)\)|(\w+) by \(([^)]*)\)", query)
                    by = " ".join(group or "" for group in grouped.groups()) if grouped else ""
                    bounded = "topk(" in query or '=~"$broken"' in query
                    whole = re.match(r"(sum|count|avg|min|max)\(", query)
                    assert bounded or whole or (grouped and "server" not in by), query

    def test_range_queries_of_per_server_series_are_limited(self) -> None:
        of_servers = {metric.name for metric in CATALOG if metric.scope is Scope.SERVER}
        for uid in DASHBOARDS.keys() - {"console-server"}:
            for query in queries_of(DASHBOARDS[uid], {**EVERYTHING, "broken": "BROKEN"}):
                if query.kind == "range" and names_of(query.expression) & of_servers:
                    assert 'server_id=~"BROKEN"' in query.expression

    def test_limits_are_at_most_20_series_and_100_table_rows(self) -> None:
        for dashboard in DASHBOARDS.values():
            for panel in panels_of(dashboard):
                for target in panel["targets"]:
                    for limit in re.findall(r"(?:topk|bottomk)\((\d+)", target["expr"]):
                        assert int(limit) <= (100 if panel["type"] == "table" else 20)


def blank(title: str) -> Any:
    return value_panels.stat_panel(title, "", "", panels.ValueFormat(unit="none"))


def titled(panel: dict[str, Any]) -> list[str]:
    """Return the column titles of a table, in order."""
    return [each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]]
