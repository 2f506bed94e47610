"""The rules of Grafana's dashboard-linter, reimplemented under the same names.

Its two rules about LogQL are one here: all queries go to Prometheus. Whether Grafana knows a unit
is checked in `test_dashboards_in_grafana`; here a unit must only be present.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.monitoring.dashboard_queries import EVERYTHING, Place, panels_of, queries_of
from tests.monitoring.selectors import Selector, selectors
from tests.real.programs import required

Dashboard = Mapping[str, Any]

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WITH_NUMBERS = {"stat", "gauge", "bargauge", "table", "timeseries", "heatmap"}
_ON_TIME_RANGE = 2
_RATES = {"rate", "irate", "increase"}
_PARSED = {**EVERYTHING, "server": "db-01", "server_id": "0001"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation of a rule by a dashboard, a panel or a variable."""

    rule: str
    dashboard: str
    where: str
    message: str


def lint(dashboards: Sequence[Dashboard], folder: Path) -> list[Finding]:
    """Return all violations; ``folder`` is for the temporary file that promtool reads."""
    return [
        *(
            Finding(rule, dashboard["uid"], where, message)
            for dashboard in dashboards
            for rule, check in _RULES.items()
            for where, message in check(dashboard)
        ),
        *_target_promql(dashboards, folder),
    ]


Found = Iterator[tuple[str, str]]


def _template_datasource(dashboard: Dashboard) -> Found:
    found = [one for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    if [(one["name"], one["label"], one["query"]) for one in found] != [
        ("datasource", "Data source", "prometheus")
    ]:
        yield "", "there is not exactly one variable `datasource`, labelled Data source"


def _template_job(dashboard: Dashboard) -> Found:
    yield from _chosen(dashboard, "job")


def _template_instance(dashboard: Dashboard) -> Found:
    yield from _chosen(dashboard, "instance")


def _chosen(dashboard: Dashboard, name: str) -> Found:
    found = [one for one in dashboard["templating"]["list"] if one["name"] == name]
    if len(found) != 1:
        yield name, "is not a variable"
        return
    expected = {
        "type": "query",
        "label": name.title(),
        "datasource": _DATASOURCE,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
    }
    for key, value in expected.items():
        if found[0].get(key) != value:
            yield name, f"{key} is {found[0].get(key)!r}, not {value!r}"


def _template_on_time_change_reload(dashboard: Dashboard) -> Found:
    for one in dashboard["templating"]["list"]:
        if one["type"] == "query" and one["refresh"] != _ON_TIME_RANGE:
            yield one["name"], "is not refreshed when the time range changes"


def _panel_datasource(dashboard: Dashboard) -> Found:
    for panel in panels_of(dashboard):
        if panel["datasource"] != _DATASOURCE:
            yield panel["title"], "does not use the selected data source"


def _target_logql(dashboard: Dashboard) -> Found:
    for panel in panels_of(dashboard):
        if any(target["datasource"] != _DATASOURCE for target in panel["targets"]):
            yield panel["title"], "has a query for a data source other than Prometheus"


def _panel_title_description(dashboard: Dashboard) -> Found:
    for panel in panels_of(dashboard):
        for key in ("title", "description"):
            if not panel.get(key, "").strip():
                yield panel.get("title", str(panel["id"])), f"has no {key}"


def _panel_units(dashboard: Dashboard) -> Found:
    for panel in panels_of(dashboard):
        if panel["type"] in _WITH_NUMBERS and not panel["fieldConfig"]["defaults"].get("unit"):
            yield panel["title"], "shows numbers without a unit"


def _panel_no_targets(dashboard: Dashboard) -> Found:
    for panel in panels_of(dashboard):
        if not any(target.get("expr") for target in panel.get("targets", ())):
            yield panel["title"], "has no query"


def _uneditable_dashboard(dashboard: Dashboard) -> Found:
    if dashboard["editable"]:
        yield "", "can be edited in the browser"


def _target_rate_interval(dashboard: Dashboard) -> Found:
    for title, one in _selected(dashboard):
        if one.function in _RATES and one.over != "$__rate_interval":
            yield title, f"{one.function} over {one.over}, not $__rate_interval"


def _target_counter_agg(dashboard: Dashboard) -> Found:
    for title, one in _selected(dashboard):
        if one.name.endswith("_total") and one.function not in _RATES:
            yield title, f"{one.name} is a counter and is shown without a rate"


def _target_job(dashboard: Dashboard) -> Found:
    yield from _without(dashboard, "job")


def _target_instance(dashboard: Dashboard) -> Found:
    yield from _without(dashboard, "instance")


def _without(dashboard: Dashboard, label: str) -> Found:
    for title, one in _selected(dashboard):
        wanted = (label, "=~", f"${label}")
        if wanted not in {(each.label, each.operator, each.value) for each in one.matchers}:
            yield title, f'{one.name} is not filtered by {label}=~"${label}"'


def _selected(dashboard: Dashboard) -> Iterator[tuple[str, Selector]]:
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            for one in selectors(target["expr"]):
                yield panel["title"], one


def _target_promql(dashboards: Sequence[Dashboard], folder: Path) -> Iterator[Finding]:
    """Check every query with promtool, including those of variables and annotations.

    The queries are written as a rule file; promtool reports the first error of each rule.
    """
    queries = [each for dashboard in dashboards for each in queries_of(dashboard, _PARSED)]
    rules = [{"record": "query", "expr": each.expression} for each in queries]
    path = folder / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    checked = subprocess.run(
        [required("promtool"), "check", "rules", "--lint=none", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if checked.returncode == 0:
        return
    errors = re.findall(r"rule (\d+), .*?(could not parse .*)", checked.stdout + checked.stderr)
    if not errors:
        raise AssertionError(checked.stdout + checked.stderr)
    for number, message in errors:
        each = queries[int(number) - 1]
        rule = "template-label-promql" if each.place is Place.VARIABLE else "target-promql"
        yield Finding(f"{rule}-rule", each.dashboard, each.name, message)


_RULES: Mapping[str, Callable[[Dashboard], Found]] = {
    "template-datasource-rule": _template_datasource,
    "template-job-rule": _template_job,
    "template-instance-rule": _template_instance,
    "template-on-time-change-reload-rule": _template_on_time_change_reload,
    "panel-datasource-rule": _panel_datasource,
    "panel-title-description-rule": _panel_title_description,
    "panel-units-rule": _panel_units,
    "panel-no-targets-rule": _panel_no_targets,
    "target-logql-rule": _target_logql,
    "target-rate-interval-rule": _target_rate_interval,
    "target-job-rule": _target_job,
    "target-instance-rule": _target_instance,
    "target-counter-agg-rule": _target_counter_agg,
    "uneditable-dashboard-rule": _uneditable_dashboard,
}
