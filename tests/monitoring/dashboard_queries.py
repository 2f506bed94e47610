"""Extract the queries that a dashboard sends to Prometheus, with values for its variables."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from string import Template
from typing import Any


class Kind(StrEnum):
    """The kind of request that Grafana sends."""

    INSTANT = "instant"
    RANGE = "range"
    LABEL_VALUES = "label_values"


class Place(StrEnum):
    """The part of the dashboard that has the query."""

    PANEL = "panel"
    VARIABLE = "variable"
    ANNOTATION = "annotation"


@dataclass(frozen=True, slots=True)
class DashboardQuery:
    """One query.

    ``name`` is that of the panel, variable or annotation, ``ref`` the ref id of a panel's query.
    ``label`` belongs to `Kind.LABEL_VALUES`, whose expression is a selector. ``pattern`` is the
    regular expression that extracts the values of a variable from
    ``name{label="value",…} value time``.
    """

    dashboard: str
    place: Place
    name: str
    expression: str
    kind: Kind
    ref: str = ""
    label: str = ""
    pattern: str = ""
    exemplars: bool = False


EVERYTHING: Mapping[str, str] = {
    "job": ".+",
    "instance": ".+",
    "project": ".+",
    "servers": ".+",
    "broken": ".+",
    "__rate_interval": "1m",
    "__range": "1h",
}
"""Values of the variables that select everything. The Server dashboard also needs `project`,
`server` and `server_id` of a server."""

_LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)")
_QUERY_RESULT = re.compile(r"query_result\((.*)\)")


def queries_of(
    dashboard: Mapping[str, Any], values: Mapping[str, str] = EVERYTHING
) -> list[DashboardQuery]:
    """Return the queries of panels, variables and annotations; `KeyError` for a missing value.

    ``values`` replace the variables in queries: `a`, or `(a|b)` if several are selected.
    """
    return [
        *_of_variables(dashboard, values),
        *_of_annotations(dashboard, values),
        *_of_panels(dashboard, values),
    ]


def panels_of(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the panels without the row titles."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def _of_panels(dashboard: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[DashboardQuery]:
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            yield DashboardQuery(
                dashboard=dashboard["uid"],
                place=Place.PANEL,
                name=panel["title"],
                expression=_filled(target["expr"], values),
                kind=Kind.INSTANT if target["instant"] else Kind.RANGE,
                ref=target["refId"],
                exemplars=target.get("exemplar", False),
            )


def _of_variables(
    dashboard: Mapping[str, Any], values: Mapping[str, str]
) -> Iterator[DashboardQuery]:
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        text = variable["query"]["query"]
        of_label, of_result = _LABEL_VALUES.fullmatch(text), _QUERY_RESULT.fullmatch(text)
        match = of_label or of_result
        if match is None:
            raise ValueError(f"{variable['name']} has an unknown form of query: {text}")
        yield DashboardQuery(
            dashboard=dashboard["uid"],
            place=Place.VARIABLE,
            name=variable["name"],
            expression=_filled(match[1], values),
            kind=Kind.LABEL_VALUES if of_label else Kind.INSTANT,
            label=of_label[2] if of_label else "",
            pattern=variable.get("regex", "").strip("/"),
        )


def _of_annotations(
    dashboard: Mapping[str, Any], values: Mapping[str, str]
) -> Iterator[DashboardQuery]:
    for annotation in dashboard["annotations"]["list"]:
        yield DashboardQuery(
            dashboard=dashboard["uid"],
            place=Place.ANNOTATION,
            name=annotation["name"],
            expression=_filled(annotation["target"]["expr"], values),
            kind=Kind.RANGE,
        )


def _filled(expression: str, values: Mapping[str, str]) -> str:
    return Template(expression).substitute(values)
