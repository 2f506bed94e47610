"""The dashboards pass the rules of Grafana's linter, and each rule finds its violation."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitoring.dashboards import all_dashboards
from monitoring.parameters import Parameters
from tests.monitoring.dashboard_lint import Finding, lint
from tests.monitoring.dashboard_queries import panels_of
from tests.monitoring.selectors import Matcher, Selector, selectors

DASHBOARDS: dict[str, dict[str, Any]] = {
    dashboard["uid"]: dashboard
    for dashboard in map(json.loads, all_dashboards(Parameters()).values())
}

# Accepted violations: rule, start of the message, reason.
REASONS = (
    (
        "target-instance-rule",
        "project:",
        "recorded series aggregate all exporters of a job and have no instance",
    ),
    ("target-instance-rule", "ALERTS ", "alerts of projects have no instance"),
    (
        "target-rate-interval-rule",
        "increase over $__range",
        "one value for the whole time range",
    ),
    (
        "target-rate-interval-rule",
        "increase over 1h",
        "worst servers of the last hour: reading 10,000 counters over days is too slow",
    ),
)


class TestSelectors:
    def test_have_matchers_range_and_function(self) -> None:
        assert selectors(
            'sum by (a) (rate(x_total{a=~"{b}", c!="d"}[5m])) / on (a) up{} > bool 1'
        ) == [
            Selector("x_total", (Matcher("a", "=~", "{b}"), Matcher("c", "!=", "d")), "5m", "rate"),
            Selector("up", (), "", ""),
        ]

    @pytest.mark.parametrize(
        "query", ["sum(rate(typo_total[5m]))", "up", 'a{b="c"} or d', "sum by (a) (up) / 2"]
    )
    def test_require_braces(self, query: str) -> None:
        with pytest.raises(ValueError, match="without braces"):
            selectors(query)


class TestLint:
    def test_finds_only_accepted_violations(self, tmp_path: Path) -> None:
        reasons = [(rule, text) for rule, text, _ in REASONS]
        found = lint(list(DASHBOARDS.values()), tmp_path)
        excused = {
            (rule, text)
            for finding in found
            for rule, text in reasons
            if finding.rule == rule and finding.message.startswith(text)
        }
        left = [
            finding
            for finding in found
            if not any(
                finding.rule == rule and finding.message.startswith(text) for rule, text in reasons
            )
        ]
        assert left == []
        assert excused == set(reasons), "an accepted violation no longer exists"

    @pytest.mark.parametrize(
        ("rule", "harm"),
        [
            ("template-datasource-rule", lambda d: variable(d, "datasource").update(label="DS")),
            ("template-job-rule", lambda d: variable(d, "job").update(multi=False)),
            ("template-instance-rule", lambda d: d["templating"]["list"].pop(2)),
            ("template-on-time-change-reload-rule", lambda d: variable(d, "job").update(refresh=1)),
            ("template-label-promql-rule", lambda d: asking(d, "job", "label_values(up{, job)")),
            ("panel-datasource-rule", lambda d: panel(d).update(datasource={"uid": "mine"})),
            ("panel-title-description-rule", lambda d: panel(d).update(description=" ")),
            ("panel-units-rule", lambda d: panel(d)["fieldConfig"]["defaults"].pop("unit")),
            ("panel-no-targets-rule", lambda d: panel(d).update(targets=[])),
            ("target-logql-rule", lambda d: target(d).update(datasource={"type": "loki"})),
            ("target-promql-rule", lambda d: target(d).update(expr="sum(up{}) +")),
            ("target-rate-interval-rule", lambda d: target(d).update(expr="rate(a_total{}[5m])")),
            ("target-counter-agg-rule", lambda d: target(d).update(expr="sum(a_total{})")),
            ("target-job-rule", lambda d: target(d).update(expr='up{job="a"}')),
            ("target-instance-rule", lambda d: target(d).update(expr='up{job=~"$job"}')),
            ("uneditable-dashboard-rule", lambda d: d.update(editable=True)),
        ],
    )  # fmt: skip
    def test_rule_finds_its_violation(
        self, rule: str, harm: Callable[[dict[str, Any]], object], tmp_path: Path
    ) -> None:
        harmed = copy.deepcopy(DASHBOARDS["console-api"])
        before = set(lint([harmed], tmp_path))
        harm(harmed)
        new: set[Finding] = set(lint([harmed], tmp_path)) - before
        assert rule in {finding.rule for finding in new}


def variable(dashboard: dict[str, Any], name: str) -> Any:
    (found,) = (one for one in dashboard["templating"]["list"] if one["name"] == name)
    return found


def asking(dashboard: dict[str, Any], name: str, query: str) -> None:
    variable(dashboard, name)["query"]["query"] = query


def panel(dashboard: dict[str, Any]) -> Any:
    return panels_of(dashboard)[0]


def target(dashboard: dict[str, Any]) -> Any:
    return panel(dashboard)["targets"][0]
