"""The Fleet dashboard: which consoles are broken, since when, and why."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.dashboards import broken_servers, links, value_mappings, variables
from monitoring.dashboards.budget import budget_left, budget_left_format, period_in_words
from monitoring.dashboards.dashboard import DashboardSpec
from monitoring.dashboards.graphs import graph, latency_heatmap, stacked
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Query, ValueFormat
from monitoring.dashboards.queries import (
    bucket_increase,
    or_zero,
    rate,
    recorded,
    select,
    total,
)
from monitoring.dashboards.value_panels import stat_panel
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.rule import INCONCLUSIVE

_SERVERS = f"count({select(catalog.SERVER_INFO)})"


def dashboard(parameters: Parameters) -> DashboardSpec:
    """Return the dashboard."""
    return DashboardSpec(
        uid=links.FLEET,
        title="Console Exporter / Fleet",
        description=(
            "Which remote consoles cannot be opened, since when, at which stage do they fail, and"
            " what is the cause? Start here."
        ),
        since="now-3h",
        refresh="30s",
        variables=[
            *variables.exporters(),
            variables.projects(),
            variables.servers(),
            variables.broken(broken_servers.DRAWN),
        ],
        rows=[
            _now(parameters),
            broken_servers.causes(parameters),
            broken_servers.servers(),
            _over_time(parameters),
        ],
    )


def _now(parameters: Parameters) -> Row:
    stale_after = duration(parameters.stale_intervals * parameters.probe_interval)
    stale = f"sum({recorded(recording.STALE)})"
    inconclusive = value_mappings.any_of("outcome", INCONCLUSIVE)
    return row(
        "Now",
        line(
            4,
            (4, 4, 4, 4, 4, 4),
            stat_panel(
                "Servers",
                "The number of monitored servers. If you have more, some are missing from the"
                " configuration.",
                _SERVERS,
                ValueFormat(unit="none", base=value_mappings.BLUE, empty="no exporter"),
            ),
            stat_panel(
                "Reachable",
                "The share of servers whose console could be opened in the last conclusive probe."
                " Servers without one do not count.",
                f"avg({select(catalog.PROBE_SUCCESS)})",
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.RED,
                    steps=(
                        (parameters.fleet_success_ratio, value_mappings.ORANGE),
                        (parameters.objective, value_mappings.GREEN),
                    ),
                    decimals=2,
                    empty="no verdict yet",
                ),
            ),
            stat_panel(
                "Broken",
                "Servers whose console could not be opened in the last conclusive probe. The row"
                " below shows the failed stages, the table further down the servers.",
                f"sum(1 - {select(catalog.PROBE_SUCCESS)})",
                _problem_count(value_mappings.RED),
            ),
            stat_panel(
                "Stale",
                f"Servers without a conclusive probe for {stale_after}; they still show their last"
                " verdict. Check Inconclusive next to this panel, then the Exporter dashboard.",
                or_zero(stale, f"sum({recorded(recording.SERVERS)})"),
                _problem_count(value_mappings.ORANGE),
            ),
            stat_panel(
                "Inconclusive",
                "Servers whose last probe says nothing about the console: throttled, login"
                " rejected, API unreachable, skipped or an error of the exporter. See the API"
                " dashboard.",
                or_zero(
                    f"sum({select(catalog.PROBE_OUTCOME, inconclusive)})",
                    f"sum({select(catalog.PROBE_OUTCOME)})",
                ),
                _problem_count(value_mappings.YELLOW),
            ),
            stat_panel(
                "Error budget left",
                "The remaining share of the failures that the objective of"
                f" {100 * parameters.objective:.4g} % allows in {period_in_words(parameters)}, for"
                " all selected projects together. Below 0 the objective is missed. See the SLO"
                " dashboard.",
                budget_left(parameters),
                budget_left_format(),
            ),
        ),
    )


def _over_time(parameters: Parameters) -> Row:
    return row(
        "Over time",
        line(
            8,
            (12, 12),
            graph(
                "Reachable by project",
                "The share of servers whose console could be opened. If one project drops, its"
                " cause is in that project; if all drop, check the network and the login.",
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.RED,
                    steps=((parameters.fleet_success_ratio, value_mappings.GREEN),),
                    high=1,
                ),
                Query(f"avg by (project) ({recorded(recording.SUCCESS_RATIO)})", "{{project}}"),
            ),
            stacked(
                "Outcomes",
                "Probes per second by outcome. Red and orange: failures. Yellow: inconclusive. If"
                " the total drops, the request rate was lowered after 429 responses, or the"
                " exporter is late.",
                ValueFormat(unit="cps"),
                Query(total(rate(catalog.PROBES), "outcome") + " > 0", "{{outcome}}"),
                colors=_outcome_shades(),
            ),
        ),
        line(
            8,
            (24,),
            latency_heatmap(
                "Latency of console address requests",
                "The time that the cloud takes to return a console address. If the band moves up,"
                " the cloud is slow; a second band above means slow servers or timeouts.",
                bucket_increase(catalog.API_REQUEST_DURATION, 'operation="remote_console"'),
            ),
        ),
    )


def _problem_count(color: str) -> ValueFormat:
    return ValueFormat(
        unit="none",
        base=value_mappings.GREEN,
        steps=((1, color),),
        mappings=value_mappings.NONE,
        empty="unknown",
    )


def _outcome_shades() -> dict[str, str]:
    """Return a color for each outcome: green, shades of red for failures, yellow otherwise."""
    reds = (
        "dark-red",
        "red",
        "semi-dark-red",
        "light-red",
        "dark-orange",
        "orange",
        "light-orange",
    )
    yellows = (
        "yellow",
        "dark-yellow",
        "light-yellow",
        "semi-dark-yellow",
        "super-light-orange",
        "super-light-yellow",
    )
    return {
        value_mappings.SUCCESS: value_mappings.GREEN,
        **{name: reds[index % len(reds)] for index, name in enumerate(value_mappings.FAILURES)},
        **{name: yellows[index % len(yellows)] for index, name in enumerate(INCONCLUSIVE)},
    }
