"""The SLO dashboard: availability, error budget, burn rates and the servers that fail most."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.dashboards import links, value_mappings, variables
from monitoring.dashboards.budget import (
    availability,
    budget_left,
    budget_left_format,
    period_in_words,
)
from monitoring.dashboards.dashboard import DashboardSpec
from monitoring.dashboards.graphs import bar_chart, graph
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Query, ValueFormat
from monitoring.dashboards.queries import increase, rate, recorded, select, total
from monitoring.dashboards.tables import Label, Number, Rows, table_of
from monitoring.dashboards.value_panels import bars, stat_panel
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.rule import FAILURE, VERDICT

_WORST = 20


def dashboard(parameters: Parameters) -> DashboardSpec:
    """Return the dashboard."""
    return DashboardSpec(
        uid=links.SLO,
        title="Console Exporter / SLO",
        description=(
            f"Objective: {100 * parameters.objective:.4g} % of conclusive probes succeed in"
            f" {period_in_words(parameters)}. Inconclusive probes do not count."
        ),
        since="now-2d",
        refresh="1m",
        variables=[
            *variables.exporters(),
            variables.projects(),
            variables.servers(),
        ],
        rows=[_now(parameters), _burn(parameters), _over_time(parameters), _causes(parameters)],
    )


def _now(parameters: Parameters) -> Row:
    days = period_in_words(parameters)
    probes = total(rate(catalog.PROBES))
    return row(
        "Objective",
        line(
            6,
            (5, 5, 5, 9),
            stat_panel(
                "Availability",
                f"The share of conclusive probes in {days} that succeeded. The objective is"
                f" {100 * parameters.objective:.4g} %. If there is less data, it covers the data"
                " there is.",
                availability(parameters),
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.RED,
                    steps=((parameters.objective, value_mappings.GREEN),),
                    decimals=3,
                    empty="no verdict yet",
                ),
            ),
            stat_panel(
                "Error budget left",
                f"The remaining share of the failures that the objective allows in {days}. Below 0"
                " the objective is missed: postpone risky changes.",
                budget_left(parameters),
                budget_left_format(),
            ),
            stat_panel(
                "Inconclusive probes",
                "The share of probes that say nothing about a console. The objective ignores them:"
                " the higher the share, the less reliable the availability.",
                f"1 - {total(rate(catalog.PROBES, VERDICT))} / ({probes} > 0)",
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.GREEN,
                    steps=((0.05, value_mappings.YELLOW), (0.5, value_mappings.ORANGE)),
                    decimals=1,
                    empty="no probes",
                ),
            ),
            bars(
                "Error budget left by project",
                "The error budget of each project. Below 0 the project misses the objective.",
                Query(f"sort({budget_left(parameters, 'project')})", "{{project}}"),
                budget_left_format(),
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
        "Burn rate",
        line(
            8,
            (24,),
            table_of(
                "Burn rate by window",
                "At burn rate 1 the error budget is used up exactly at the end of the period. A"
                " long and a short window in red together are an alert. Only the long one: the"
                " problem is over. Only the short one: it is too early to tell.",
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
                        base=value_mappings.GREEN,
                        steps=((factors[name], value_mappings.RED),),
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
                f"Successful share of conclusive probes over {duration(parameters.window_1h)}. The"
                " dashed line is the objective. Short dips use up error budget.",
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.RED,
                    steps=((parameters.objective, value_mappings.GREEN),),
                    high=1,
                ),
                Query(f"1 - max by (project) ({hour})", "{{project}}"),
            ),
            graph(
                "Burn rate, fast",
                f"Over {duration(parameters.window_1h)}. At {fast.factor:g}, the upper dashed line,"
                " the budget of a month is used up in two days.",
                ValueFormat(
                    unit="none",
                    base=value_mappings.GREEN,
                    steps=((1, value_mappings.ORANGE), (fast.factor, value_mappings.RED)),
                    low=0,
                ),
                Query(f"max by (project) ({hour}) / {parameters.error_budget:.6g}", "{{project}}"),
            ),
            graph(
                "Burn rate, slow",
                f"Over {duration(parameters.window_3d)}. If it stays above 1, the objective will be"
                " missed.",
                ValueFormat(
                    unit="none",
                    base=value_mappings.GREEN,
                    steps=((1, value_mappings.ORANGE),),
                    low=0,
                ),
                Query(f"max by (project) ({days}) / {parameters.error_budget:.6g}", "{{project}}"),
            ),
        ),
    )


def _causes(parameters: Parameters) -> Row:
    window = duration(parameters.window_1h)
    failed = f"increase({select(catalog.PROBE_FAILURES)}[{window}])"
    verdicts = f"increase({select(catalog.PROBE_VERDICTS)}[{window}])"
    by = "project, server_id, server"
    worst = f"topk({_WORST}, sum by ({by}) ({failed}) > 0)"
    return row(
        "What uses up the error budget",
        line(
            9,
            (10, 14),
            bar_chart(
                "Failures by outcome",
                "Failed probes by outcome. Fix the most frequent one first.",
                ValueFormat(unit="short", low=0, decimals=0),
                Query(
                    f"{total(increase(catalog.PROBES, FAILURE), 'outcome')} > 0",
                    "{{outcome}}",
                ),
            ),
            table_of(
                "Worst servers",
                f"The {_WORST} servers with the most failures in the last {window}. A few servers"
                " at 100 % are broken themselves; many with a low share point to an unreliable"
                " gateway or network.",
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
                        title="Share of conclusive probes",
                        unit="percentunit",
                        base=value_mappings.ORANGE,
                        steps=((0.5, value_mappings.RED),),
                        decimals=0,
                    ),
                ],
                Rows(by="Failures", empty="no failure"),
            ),
        ),
    )
