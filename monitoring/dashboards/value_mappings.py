"""Colors and value mappings of the dashboards.

Green: success. Red: failure. Yellow: inconclusive (network, login, quota, viewers or
exporter). Grey: unknown.
"""

from collections.abc import Iterable

from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    RangeMap,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

from monitoring.metrics_page import OUTCOMES, STAGES
from monitoring.rule import INCONCLUSIVE

GREEN, ORANGE, RED, YELLOW, BLUE, GREY = "green", "orange", "red", "yellow", "blue", "text"

SUCCESS = "success"
FAILURES = tuple(outcome for outcome in OUTCOMES if outcome not in {SUCCESS, *INCONCLUSIVE})


def any_of(label: str, values: Iterable[str]) -> str:
    """Return a matcher for any of the values."""
    return f'{label}=~"{"|".join(values)}"'


def text_mapping(*names: tuple[str, str]) -> list[ValueMapping]:
    """Map 0, 1, … to texts and colors."""
    return [
        ValueMap(
            options={
                str(value): ValueMappingResult(text=text, color=color, index=value)
                for value, (text, color) in enumerate(names)
            }
        )
    ]


def color_mapping(colors: dict[str, str]) -> list[ValueMapping]:
    """Color texts without changing them."""
    return [
        ValueMap(
            options={
                text: ValueMappingResult(text=text, color=color, index=index)
                for index, (text, color) in enumerate(colors.items())
            }
        )
    ]


def _between(low: float, high: float, color: str, text: str | None = None) -> ValueMapping:
    return RangeMap(
        options=DashboardRangeMapOptions(
            from_val=low, to=high, result=ValueMappingResult(text=text, color=color)
        )
    )


REACHABLE = text_mapping(("broken", RED), ("reachable", GREEN))
ANSWERING = text_mapping(("no answer", RED), ("answers", GREEN))
UP = text_mapping(("down", RED), ("up", GREEN))
LOADED = text_mapping(("reload failed", RED), ("loaded", GREEN))
COOLING = text_mapping(("running", GREEN), ("cooling down", YELLOW))
NONE = text_mapping(("none", GREEN))
OUTCOME_COLORS = {
    outcome: GREEN if outcome == SUCCESS else YELLOW if outcome in INCONCLUSIVE else RED
    for outcome in OUTCOMES
}
OUTCOME = text_mapping(*OUTCOME_COLORS.items())
"""Texts for an outcome that is shown as its index in `OUTCOMES`."""

STAGE = text_mapping(("no stage failed", GREEN), *((stage, RED) for stage in STAGES))
"""Texts for the failed stage, bar_chart from 1."""

HTTP_STATUS: list[ValueMapping] = [
    *text_mapping(("no response", RED)),
    _between(200, 299, GREEN),
    _between(400, 400, RED),
    _between(401, 403, YELLOW),
    _between(404, 428, RED),
    _between(429, 429, YELLOW),
    _between(430, 599, RED),
]
SEVERITIES = color_mapping({"critical": RED, "warning": ORANGE, "info": BLUE})
