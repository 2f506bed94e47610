"""The Server dashboard: state, history and latency of one console."""

from exporter.metrics import catalog
from exporter.metrics.catalog import Metric
from monitoring.dashboards import links, value_mappings, variables
from monitoring.dashboards.dashboard import DashboardSpec
from monitoring.dashboards.graphs import bar_chart, graph, stacked, state_timeline
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Query, ValueFormat
from monitoring.dashboards.queries import RANGE, RATE, numbered, of_selected_server
from monitoring.dashboards.tables import attributes
from monitoring.dashboards.value_panels import stat_panel
from monitoring.metrics_page import OUTCOMES, STAGES
from monitoring.parameters import Parameters

_OUTCOME = numbered(
    "outcome", OUTCOMES, lambda matcher: of_selected_server(catalog.PROBE_OUTCOME, matcher)
)
_STAGE = numbered(
    "stage", ("", *STAGES), lambda matcher: of_selected_server(catalog.PROBE_OUTCOME, matcher)
)


def dashboard(parameters: Parameters) -> DashboardSpec:
    """Return the dashboard."""
    return DashboardSpec(
        uid=links.SERVER,
        title="Console Exporter / Server",
        description=(
            "One server: can its console be opened, since when not, and at which stage do probes"
            " fail?"
        ),
        since="now-6h",
        refresh="30s",
        variables=[
            *variables.exporters(),
            variables.one_project(),
            *variables.one_server(),
        ],
        rows=[_now(parameters), _states(), _times(), _counters(), _attributes()],
    )


def _now(parameters: Parameters) -> Row:
    failures = of_selected_server(catalog.PROBE_FAILURES)
    verdicts = of_selected_server(catalog.PROBE_VERDICTS)
    return row(
        "Now",
        line(
            4,
            (4, 5, 3, 4, 4, 4),
            stat_panel(
                "Console",
                "The last verdict. Inconclusive probes do not change it; Last verdict shows its"
                " age.",
                f"max({of_selected_server(catalog.PROBE_SUCCESS)})",
                ValueFormat(unit="none", mappings=value_mappings.REACHABLE, empty="no verdict yet"),
            ),
            stat_panel(
                "Last outcome",
                "The outcome of the last probe. Red: the console failed. Yellow: inconclusive, the"
                " cause is the quota, the login or the exporter.",
                _OUTCOME,
                ValueFormat(unit="none", mappings=value_mappings.OUTCOME, empty="not probed yet"),
            ),
            stat_panel(
                "Failures in a row",
                f"At {parameters.unavailable_failures} the alert ConsoleUnavailable fires."
                " Inconclusive probes do not count.",
                f"max({of_selected_server(catalog.PROBE_CONSECUTIVE_FAILURES)})",
                ValueFormat(
                    unit="none",
                    base=value_mappings.GREEN,
                    steps=(
                        (1, value_mappings.ORANGE),
                        (parameters.unavailable_failures, value_mappings.RED),
                    ),
                    mappings=value_mappings.NONE,
                    empty="not probed yet",
                ),
            ),
            stat_panel(
                "Last success",
                "Time of the last successful probe. The console broke after that.",
                f"max({of_selected_server(catalog.PROBE_LAST_SUCCESS)}) * 1000",
                ValueFormat(unit="dateTimeFromNow", empty="never"),
            ),
            stat_panel(
                "Last verdict",
                "Time of the last conclusive probe. If it is long ago, all probes since were"
                " inconclusive, or there were none.",
                f"max({of_selected_server(catalog.PROBE_LAST_VERDICT)}) * 1000",
                ValueFormat(unit="dateTimeFromNow", empty="never"),
            ),
            stat_panel(
                "Success ratio",
                "The share of conclusive probes in the time range that succeeded.",
                f"1 - sum(increase({failures}[{RANGE}]))"
                f" / (sum(increase({verdicts}[{RANGE}])) > 0)",
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.RED,
                    steps=(
                        (parameters.fleet_success_ratio, value_mappings.ORANGE),
                        (parameters.objective, value_mappings.GREEN),
                    ),
                    decimals=1,
                    empty="no verdict",
                ),
            ),
        ),
    )


def _states() -> Row:
    return row(
        "History",
        line(
            8,
            (24,),
            state_timeline(
                "State",
                "Console: the last verdict. Outcome, failed stage and HTTP status: those of the"
                " last probe. Inconclusive probes are yellow and do not change the verdict.",
                Query(
                    f"max({of_selected_server(catalog.PROBE_SUCCESS)})",
                    "Console",
                    mappings=value_mappings.REACHABLE,
                ),
                Query(_OUTCOME, "Outcome", mappings=value_mappings.OUTCOME),
                Query(_STAGE, "Failed stage", mappings=value_mappings.STAGE),
                Query(
                    f"max({of_selected_server(catalog.PROBE_STATUS_CODE)})",
                    "HTTP status",
                    mappings=value_mappings.HTTP_STATUS,
                ),
            ),
        ),
    )


def _times() -> Row:
    ages = (
        ("attempt", catalog.PROBE_LAST_ATTEMPT),
        ("verdict", catalog.PROBE_LAST_VERDICT),
        ("success", catalog.PROBE_LAST_SUCCESS),
    )
    return row(
        "Durations",
        line(
            8,
            (12, 6, 6),
            stacked(
                "Stages of the last probe",
                "Duration by stage, without time in the throttle. The stage that grows is the slow"
                " one; if the probe failed, the last stage is the one that failed.",
                ValueFormat(unit="s", low=0),
                Query(
                    f"max by (stage) ({of_selected_server(catalog.PROBE_STAGE_DURATION)})",
                    "{{stage}}",
                ),
            ),
            graph(
                "Duration of the last probe",
                "All stages together. Near the configured timeout, probes are about to fail.",
                ValueFormat(unit="s", low=0),
                Query(f"max({of_selected_server(catalog.PROBE_DURATION)})", "duration"),
            ),
            graph(
                "Time since the last",
                "A sawtooth is normal. If attempt rises, the exporter does not probe; if only"
                " verdict and success rise, probes are inconclusive; if only success rises, the"
                " console is broken.",
                ValueFormat(unit="s", low=0),
                *(
                    Query(f"time() - max({of_selected_server(metric)})", name)
                    for name, metric in ages
                ),
            ),
        ),
    )


def _counters() -> Row:
    value_format = ValueFormat(unit="short", low=0, decimals=0)

    def each(metric: Metric, name: str) -> Query:
        return Query(f"sum(increase({of_selected_server(metric)}[{RATE}]))", name)

    return row(
        "Counts",
        line(
            6,
            (8, 8, 8),
            bar_chart(
                "Verdicts",
                "Conclusive probes. If there are fewer than before, probes are throttled or the"
                " interval is longer.",
                value_format,
                each(catalog.PROBE_VERDICTS, "verdicts"),
            ),
            bar_chart(
                "Failures",
                "Failed conclusive probes. A few: check the latency. All of them: the console is"
                " broken.",
                value_format,
                each(catalog.PROBE_FAILURES, "failures"),
            ),
            bar_chart(
                "Throttled",
                "Probes that got status 429. They are inconclusive, not failures; see the API"
                " dashboard.",
                value_format,
                each(catalog.PROBE_THROTTLED, "throttled"),
            ),
        ),
    )


def _attributes() -> Row:
    return row(
        "Attributes of the server",
        line(
            4,
            (24,),
            attributes(
                "Attributes",
                "Region, probe depth and the labels of the configuration. Two rows mean that two"
                " exporters probe this server, which uses twice the quota.",
                of_selected_server(catalog.SERVER_INFO),
                hidden=("job",),
            ),
        ),
    )
