"""What the values on the dashboards are called, and their colours.

Colours say one thing everywhere: green is well, red is a verdict of failure, yellow is no verdict
(our login, our quota, our fault), grey is not known.
"""

from collections.abc import Iterable

from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    DashboardSpecialValueMapOptions,
    RangeMap,
    SpecialValueMap,
    SpecialValueMatch,
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
    """Write a matcher for a closed list of values."""
    return f'{label}=~"{"|".join(values)}"'


def words(*names: tuple[str, str]) -> list[ValueMapping]:
    """Map 0, 1, … to a word and its colour."""
    return [
        ValueMap(
            options={
                str(value): ValueMappingResult(text=text, color=color, index=value)
                for value, (text, color) in enumerate(names)
            }
        )
    ]


def texts(colors: dict[str, str]) -> list[ValueMapping]:
    """Colour words that stand in a column, as they are."""
    return [
        ValueMap(
            options={
                text: ValueMappingResult(text=text, color=color, index=index)
                for index, (text, color) in enumerate(colors.items())
            }
        )
    ]


def unknown(text: str) -> ValueMapping:
    """Say in words that there is no value."""
    return SpecialValueMap(
        options=DashboardSpecialValueMapOptions(
            match=SpecialValueMatch.NULL_AND_NAN, result=ValueMappingResult(text=text, color=GREY)
        )
    )


def _between(low: float, high: float, color: str, text: str | None = None) -> ValueMapping:
    return RangeMap(
        options=DashboardRangeMapOptions(
            from_val=low, to=high, result=ValueMappingResult(text=text, color=color)
        )
    )


REACHABLE = words(("broken", RED), ("reachable", GREEN))
UP = words(("down", RED), ("up", GREEN))
LOADED = words(("refused", RED), ("loaded", GREEN))
COOLING = words(("running", GREEN), ("cooling down", YELLOW))
NONE = words(("none", GREEN))
OUTCOME_COLORS = {
    outcome: GREEN if outcome == SUCCESS else YELLOW if outcome in INCONCLUSIVE else RED
    for outcome in OUTCOMES
}
OUTCOME = words(*OUTCOME_COLORS.items())
"""Words for an outcome drawn as its index in the closed list."""

STAGE = words(("no stage failed", GREEN), *((stage, RED) for stage in STAGES))
"""Words for the stage that failed, counted from 1."""

HTTP_STATUS: list[ValueMapping] = [
    *words(("no answer", RED)),
    _between(200, 299, GREEN),
    _between(400, 400, RED),
    _between(401, 403, YELLOW),
    _between(404, 428, RED),
    _between(429, 429, YELLOW),
    _between(430, 599, RED),
]
SEVERITIES = texts({"critical": RED, "warning": ORANGE, "info": BLUE})
