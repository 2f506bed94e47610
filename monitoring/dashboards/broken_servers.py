"""Rows of the Fleet dashboard about broken consoles, the failed stages and the causes."""

from grafana_foundation_sdk.models.dashboard import Panel

from exporter.metrics import catalog
from monitoring import recording
from monitoring.dashboards import links, value_mappings
from monitoring.dashboards.graphs import status_history
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Query, ValueFormat
from monitoring.dashboards.queries import (
    SERVER,
    firing,
    of_broken_servers,
    or_zero,
    recorded,
    select,
)
from monitoring.dashboards.tables import Label, Number, Rows, table_of
from monitoring.dashboards.value_panels import bars
from monitoring.parameters import Parameters
from monitoring.rule import FAILURE

DRAWN = 20
"""Number of servers in the history panel; the variable ``broken`` selects them."""

_LISTED = 100


def causes(parameters: Parameters) -> Row:
    """Show firing alerts, failed stages and the probable cause by project."""
    outcome = select(catalog.PROBE_OUTCOME, FAILURE)
    return row(
        "Alerts and causes",
        line(
            8,
            (7, 6, 11),
            table_of(
                "Firing alerts",
                "The alerts that fire now. The name of an alert is a link to its runbook.",
                [
                    Label(
                        label="alertname",
                        title="Alert",
                        link=links.to_runbook(parameters),
                        link_title="Runbook",
                    ),
                    Label(
                        label="severity",
                        title="Severity",
                        mappings=value_mappings.SEVERITIES,
                        width=90,
                    ),
                    Label(label="project", title="Project", width=110),
                ],
                [
                    Number(
                        expression=f"count by (alertname, severity, project) ({firing()})",
                        title="Alerts",
                        unit="none",
                        width=70,
                    )
                ],
                Rows(by="Severity", descending=False, empty="none"),
            ),
            bars(
                "Failures by stage and outcome",
                "Broken servers by failed stage and outcome of the last probe. api: the cloud"
                " returns no console address; page and websocket: the console gateway; rfb and"
                " security: the server itself. One long bar means one common cause.",
                Query(
                    f"sort_desc(count by (stage, outcome) ({outcome}))",
                    "{{stage}}: {{outcome}}",
                ),
                ValueFormat(unit="none", base=value_mappings.RED, low=0, empty="nothing is broken"),
            ),
            _faults(parameters),
        ),
    )


def _faults(parameters: Parameters) -> Panel:
    success = select(catalog.PROBE_SUCCESS)
    servers = f"count by (project) ({select(catalog.SERVER_INFO)})"
    rejected = select(catalog.PROBE_OUTCOME, 'outcome=~"unauthorized|forbidden"')
    return table_of(
        "Causes by project",
        "Start with the first red or yellow cell from the left. API without an answer: check the"
        " exporter's network, proxy and endpoint. API failing: contact the cloud's support. Login"
        " rejected: check user, password and permissions. Throttled: lengthen the interval. If only"
        " Broken is red, the cause is the consoles or their gateway.",
        [
            Label(
                label="project",
                title="Project",
                link=links.to_project(links.API),
                link_title="API and throttling",
            )
        ],
        [
            Number(expression=servers, title="Servers", unit="none", width=75),
            Number(
                expression=f"max by (project) ({select(catalog.API_REACHABLE)})",
                title="API",
                unit="none",
                mappings=value_mappings.ANSWERING,
            ),
            Number(
                expression=f"max by (project) ({recorded(recording.API_UNAVAILABLE)})",
                title="API failing",
                unit="percentunit",
                base=value_mappings.GREEN,
                steps=(
                    (0.01, value_mappings.ORANGE),
                    (parameters.api_unavailable_ratio, value_mappings.RED),
                ),
                decimals=1,
            ),
            Number(
                expression=or_zero(f"count by (project) ({rejected})", servers),
                title="Login rejected",
                unit="none",
                base=value_mappings.GREEN,
                steps=((1, value_mappings.YELLOW),),
                mappings=value_mappings.NONE,
            ),
            Number(
                expression=f"max by (project) ({recorded(recording.API_THROTTLED)})",
                title="Throttled",
                unit="percentunit",
                base=value_mappings.GREEN,
                steps=((parameters.api_throttled_ratio, value_mappings.YELLOW),),
                decimals=1,
            ),
            Number(
                expression=f"sum by (project) (1 - {success})",
                title="Broken",
                unit="none",
                base=value_mappings.GREEN,
                steps=((1, value_mappings.RED),),
                mappings=value_mappings.NONE,
            ),
        ],
        Rows(by="Broken", empty="no exporter"),
    )


def servers() -> Row:
    """List the broken servers and show since when they are broken."""
    failures = select(catalog.PROBE_CONSECUTIVE_FAILURES)
    longest = f"topk({_LISTED}, {failures} > 0)"
    outcome = select(catalog.PROBE_OUTCOME)
    last = select(catalog.PROBE_LAST_SUCCESS)
    return row(
        "Broken servers",
        line(
            9,
            (24,),
            table_of(
                "Broken servers",
                f"The {_LISTED} servers with the most consecutive failures. Outcome and stage are"
                " those of the last probe, which may be inconclusive. The name of a server is a"
                " link to its dashboard.",
                [
                    Label(
                        label="server",
                        title="Server",
                        link=links.to_server(),
                        link_title="This server",
                    ),
                    Label(label="project", title="Project"),
                    Label(
                        label="outcome",
                        title="Outcome",
                        mappings=value_mappings.color_mapping(value_mappings.OUTCOME_COLORS),
                    ),
                    Label(label="stage", title="Stage"),
                    Label(label="server_id", title="Server id"),
                ],
                [
                    Number(
                        expression=(
                            f"sum by (project, server_id, server, outcome, stage) ({longest}"
                            f" * on ({SERVER}) group_left (outcome, stage) {outcome})"
                        ),
                        title="Failures in a row",
                        unit="none",
                    ),
                    Number(
                        expression=(
                            f"max by (project, server_id, server) ({last} * 1000"
                            f" and on ({SERVER}) {longest})"
                        ),
                        title="Last success",
                        unit="dateTimeFromNow",
                        empty="never",
                    ),
                ],
                Rows(by="Failures in a row", empty="nothing is broken"),
            ),
        ),
        line(
            9,
            (24,),
            status_history(
                "History of broken servers",
                f"The {DRAWN} servers with the most consecutive failures, over the time range. If"
                " several turn red at the same time, they probably have one cause. If a server"
                " alternates between red and green, check its stages and latency.",
                Query(
                    of_broken_servers(catalog.PROBE_SUCCESS),
                    "{{server}} ({{project}})",
                    value_mappings.REACHABLE,
                ),
            ),
        ),
    )
