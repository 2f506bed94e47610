"""Queries for the error budget: the failures that the objective allows in 30 days."""

from monitoring import recording
from monitoring.dashboards import value_mappings
from monitoring.dashboards.panels import ValueFormat
from monitoring.dashboards.queries import recorded, total
from monitoring.durations import duration
from monitoring.parameters import Parameters

# The budget period in 3-day windows, so that it is compressed together with them.
_WINDOWS = 10


def budget_left(parameters: Parameters, *by: str) -> str:
    """Return the query for the remaining share of the error budget; negative if overspent."""
    failures = _over_period(recording.FAILURES, parameters, by)
    verdicts = _over_period(recording.VERDICTS, parameters, by)
    return f"1 - {failures} / ({verdicts} > 0) / {parameters.error_budget:.6g}"


def availability(parameters: Parameters, *by: str) -> str:
    """Return the query for the share of conclusive probes that succeeded."""
    failures = _over_period(recording.FAILURES, parameters, by)
    verdicts = _over_period(recording.VERDICTS, parameters, by)
    return f"1 - {failures} / ({verdicts} > 0)"


def budget_left_format() -> ValueFormat:
    """Return the number format of the remaining error budget."""
    return ValueFormat(
        unit="percentunit",
        base=value_mappings.RED,
        steps=((0, value_mappings.ORANGE), (0.25, value_mappings.GREEN)),
        decimals=1,
        high=1,
        empty="no verdict yet",
    )


def period(parameters: Parameters) -> str:
    """Return the budget period in Prometheus notation."""
    return duration(_WINDOWS * parameters.window_3d)


def period_in_words(parameters: Parameters) -> str:
    """Return the budget period for texts, such as ``30 days``."""
    days = _WINDOWS * parameters.window_3d / 86400
    return f"{days:g} days" if days >= 1 else period(parameters)


def _over_period(rule: str, parameters: Parameters, by: tuple[str, ...]) -> str:
    return total(f"sum_over_time({recorded(rule)}[{period(parameters)}])", *by)
