"""SLO: is the objective met, what is left of the error budget, and who spends it."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.dashboards import links, variables, words
from monitoring.dashboards.budget import (
    availability,
    budget_left,
    budget_left_figures,
    period_in_words,
)
from monitoring.dashboards.dashboard import Sheet
from monitoring.dashboards.figures import bars, figure
from monitoring.dashboards.graphs import counted, graph
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Figures, Query
from monitoring.dashboards.queries import increase, rate, recorded, select, total
from monitoring.dashboards.tables import Label, Number, Rows, table_of
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.rule import FAILURE, VERDICT

_WORST = 20


def sheet(parameters: Parameters) -> Sheet:
    """Return the dashboard."""
    return Sheet(
        uid=links.SLO,
        title="Console Exporter / SLO",
        description=(
            f"Objective: {parameters.objective:.4g} of the verdicts on consoles are successes in"
            f" {period_in_words(parameters)}. Inconclusive probes do not count."
        ),
        since="now-2d",
        refresh="1m",
        variables=[
            *variables.exporters(),
            variables.projects(),
            variables.servers(),
        ],
        rows=[_now(parameters), _burn(parameters), _over_time(parameters), _spenders(parameters)],
    )


def _now(parameters: Parameters) -> Row:
    days = period_in_words(parameters)
    probes = total(rate(catalog.PROBES))
    return row(
        "Objective",
        line(
            6,
            (5, 5, 5, 9),
            figure(
                "Availability",
                f"The share of verdicts in {days} that were successes. The objective is"
                f" {parameters.objective:.4g}. Younger records count as far as they go.",
                availability(parameters),
                Figures(
                    unit="percentunit",
                    base=words.RED,
                    steps=((parameters.objective, words.GREEN),),
                    decimals=3,
                    empty="no verdict yet",
                ),
            ),
            figure(
                "Error budget left",
                f"What is left of the failures that the objective allows in {days}. Below 0 it"
                " is missed: put changes off until it has recovered.",
                budget_left(parameters),
                budget_left_figures(),
            ),
            figure(
                "Probes without a verdict",
                "The share of probes that proved nothing. The objective does not see them: the"
                " higher this is, the less it says.",
                f"1 - {total(rate(catalog.PROBES, VERDICT))} / ({probes} > 0)",
                Figures(
                    unit="percentunit",
                    base=words.GREEN,
                    steps=((0.05, words.YELLOW), (0.5, words.ORANGE)),
                    decimals=1,
                    empty="no probes",
                ),
            ),
            bars(
                "Error budget left by project",
                "Whose budget is spent. A project below 0 misses the objective by itself.",
                Query(f"sort({budget_left(parameters, 'project')})", "{{project}}"),
                budget_left_figures(),
            ),
        ),
    )


def _burn(parameters: Parameters) -> Row:
    budget = f"{parameters.error_budget:.6g}"
    windows = ("5m", *recording.LONG_WINDOWS)
    factors = {
        name: rate.factor for rate in parameters.burn_rates for name in (rate.long, rate.short)
    }
    return row(
        "Burn",
        line(
            8,
            (24,),
            table_of(
                "Burn rate by window",
                "How many times too fast the budget goes: 1 spends exactly all of it. A long and"
                " a short window coloured together are an alert: it burns, and still does. Only"
                " the long one: it is over. Only the short one: wait and see.",
                [
                    Label(
                        label="project",
                        title="Project",
                        link=links.to_project(links.FLEET),
                        link_title="Fleet",
                    )
                ],
                [
                    Number(
                        expression=(
                            f"max by (project) ({recorded(recording.failure_ratio(name))})"
                            f" / {budget}"
                        ),
                        title=duration(parameters.window(name)),
                        unit="none",
                        base=words.GREEN,
                        steps=((factors[name], words.RED),),
                        decimals=1,
                    )
                    for name in windows
                ],
                Rows(by="Project", descending=False, empty="no verdict yet"),
            ),
        ),
    )


def _over_time(parameters: Parameters) -> Row:
    hour, days = (recorded(recording.failure_ratio(name)) for name in ("1h", "3d"))
    fast = parameters.burn_rates[0]
    return row(
        "Over time",
        line(
            8,
            (8, 8, 8),
            graph(
                "Availability over time",
                f"Successes over verdicts of {duration(parameters.window_1h)}; the dashed line is"
                " the objective. Short dips are paid from the budget.",
                Figures(
                    unit="percentunit",
                    base=words.RED,
                    steps=((parameters.objective, words.GREEN),),
                    high=1,
                ),
                Query(f"1 - max by (project) ({hour})", "{{project}}"),
            ),
            graph(
                "Burn rate",
                f"Of {duration(parameters.window_1h)}. At the dashed line of {fast.factor:g} a"
                " month's budget is gone in two days.",
                Figures(
                    unit="none",
                    base=words.GREEN,
                    steps=((1, words.ORANGE), (fast.factor, words.RED)),
                    low=0,
                ),
                Query(f"max by (project) ({hour}) / {parameters.error_budget:.6g}", "{{project}}"),
            ),
            graph(
                "Burn rate, slow",
                f"Of {duration(parameters.window_3d)}. Above 1 for long, the objective will be"
                " missed, however quiet it looks.",
                Figures(unit="none", base=words.GREEN, steps=((1, words.ORANGE),), low=0),
                Query(f"max by (project) ({days}) / {parameters.error_budget:.6g}", "{{project}}"),
            ),
        ),
    )


def _spenders(parameters: Parameters) -> Row:
    window = duration(parameters.window_1h)
    failed = f"increase({select(catalog.PROBE_FAILURES)}[{window}])"
    verdicts = f"increase({select(catalog.PROBE_VERDICTS)}[{window}])"
    by = "project, server_id, server"
    worst = f"topk({_WORST}, sum by ({by}) ({failed}) > 0)"
    return row(
        "What spends it",
        line(
            9,
            (10, 14),
            counted(
                "Failures by outcome",
                "What the budget was spent on. Mend the tallest first.",
                Figures(unit="short", low=0, decimals=0),
                Query(
                    f"{total(increase(catalog.PROBES, FAILURE), 'outcome')} > 0",
                    "{{outcome}}",
                ),
            ),
            table_of(
                "Worst servers",
                f"The {_WORST} with the most failures in the last {window}. A few with a share"
                " of 100 % are broken machines; many with a low share are a gateway or a"
                " network that drops some.",
                [
                    Label(
                        label="server",
                        title="Server",
                        link=links.to_server(),
                        link_title="This server",
                    ),
                    Label(label="project", title="Project"),
                    Label(label="server_id", title="Server id"),
                ],
                [
                    Number(expression=worst, title="Failures", unit="short", decimals=0),
                    Number(
                        expression=f"{worst} / (sum by ({by}) ({verdicts}) > 0)",
                        title="Share of verdicts",
                        unit="percentunit",
                        base=words.ORANGE,
                        steps=((0.5, words.RED),),
                        decimals=0,
                    ),
                ],
                Rows(by="Failures", empty="no failure"),
            ),
        ),
    )
