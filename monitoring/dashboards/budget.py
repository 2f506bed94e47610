"""The error budget: what the objective allows to fail in 30 days."""

from monitoring import recording
from monitoring.dashboards import words
from monitoring.dashboards.panels import Figures
from monitoring.dashboards.queries import recorded, total
from monitoring.durations import duration
from monitoring.parameters import Parameters

# In windows of 3 days, so that it is compressed with them.
_WINDOWS = 10


def budget_left(parameters: Parameters, *by: str) -> str:
    """Return the query for the share of the error budget that is left; negative when overspent."""
    failures = _over_period(recording.FAILURES, parameters, by)
    verdicts = _over_period(recording.VERDICTS, parameters, by)
    return f"1 - {failures} / ({verdicts} > 0) / {parameters.error_budget:.6g}"


def availability(parameters: Parameters, *by: str) -> str:
    """Return the query for the share of verdicts that were successes."""
    failures = _over_period(recording.FAILURES, parameters, by)
    verdicts = _over_period(recording.VERDICTS, parameters, by)
    return f"1 - {failures} / ({verdicts} > 0)"


def budget_left_figures() -> Figures:
    """Return how a share of the budget is shown."""
    return Figures(
        unit="percentunit",
        base=words.RED,
        steps=((0, words.ORANGE), (0.25, words.GREEN)),
        decimals=1,
        high=1,
        empty="no verdict yet",
    )


def period(parameters: Parameters) -> str:
    """Return the time that the budget is for, as Prometheus writes it."""
    return duration(_WINDOWS * parameters.window_3d)


def period_in_words(parameters: Parameters) -> str:
    """Return the time that the budget is for, for people."""
    days = _WINDOWS * parameters.window_3d / 86400
    return f"{days:g} days" if days >= 1 else period(parameters)


def _over_period(rule: str, parameters: Parameters, by: tuple[str, ...]) -> str:
    return total(f"sum_over_time({recorded(rule)}[{period(parameters)}])", *by)
