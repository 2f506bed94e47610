"""What is broken, where it breaks, whose fault it is: rows of the Fleet dashboard."""

from grafana_foundation_sdk.models.dashboard import Panel

from exporter.metrics import catalog
from monitoring import recording
from monitoring.dashboards import links, words
from monitoring.dashboards.figures import bars
from monitoring.dashboards.graphs import statuses
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Figures, Query
from monitoring.dashboards.queries import (
    SERVER,
    firing,
    found_broken,
    or_zero,
    recorded,
    select,
)
from monitoring.dashboards.tables import Label, Number, Rows, table_of
from monitoring.parameters import Parameters
from monitoring.rule import FAILURE

DRAWN = 20
"""Servers whose history is drawn; the variable ``broken`` finds them."""

_LISTED = 100


def causes(parameters: Parameters) -> Row:
    """Show what was reported, at which stage consoles break, and which side is at fault."""
    outcome = select(catalog.PROBE_OUTCOME, FAILURE)
    return row(
        "What is wrong, and whose fault it is",
        line(
            8,
            (7, 6, 11),
            table_of(
                "Firing alerts",
                "What has been reported. Each alert leads to its runbook.",
                [
                    Label(
                        label="alertname",
                        title="Alert",
                        link=links.to_runbook(parameters),
                        link_title="Runbook",
                    ),
                    Label(label="severity", title="Severity", words=words.SEVERITIES, width=90),
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
                "Where it breaks",
                "Broken servers by the stage and the outcome of their last probe. api: the"
                " cloud hands out no address; page and websocket: the console gateway; rfb: the"
                " machine itself. One tall bar is one cause.",
                Query(
                    f"sort_desc(count by (stage, outcome) ({outcome}))",
                    "{{stage}}: {{outcome}}",
                ),
                Figures(unit="none", base=words.RED, low=0, empty="nothing is broken"),
            ),
            _faults(parameters),
        ),
    )


def _faults(parameters: Parameters) -> Panel:
    success = select(catalog.PROBE_SUCCESS)
    servers = f"count by (project) ({select(catalog.SERVER_INFO)})"
    refused = select(catalog.PROBE_OUTCOME, 'outcome=~"unauthorized|forbidden"')
    return table_of(
        "Whose fault, by project",
        "The first red or yellow cell from the left is where to look. API: the cloud does not"
        " answer; tell its support. Login: our account; check user, password, permissions."
        " Throttled: our quota; probe more rarely. If only Broken is red, it is the consoles or"
        " their gateway.",
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
                expression=f"max by (project) ({recorded(recording.API_UNAVAILABLE)})",
                title="API failing",
                unit="percentunit",
                base=words.GREEN,
                steps=((0.01, words.ORANGE), (parameters.api_unavailable_ratio, words.RED)),
                decimals=1,
            ),
            Number(
                expression=or_zero(f"count by (project) ({refused})", servers),
                title="Login refused",
                unit="none",
                base=words.GREEN,
                steps=((1, words.YELLOW),),
                words=words.NONE,
            ),
            Number(
                expression=f"max by (project) ({recorded(recording.API_THROTTLED)})",
                title="Throttled",
                unit="percentunit",
                base=words.GREEN,
                steps=((parameters.api_throttled_ratio, words.YELLOW),),
                decimals=1,
            ),
            Number(
                expression=f"sum by (project) (1 - {success})",
                title="Broken",
                unit="none",
                base=words.GREEN,
                steps=((1, words.RED),),
                words=words.NONE,
            ),
        ],
        Rows(by="Broken", empty="no exporter"),
    )


def servers() -> Row:
    """Name the broken servers and show when they broke."""
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
                f"The {_LISTED} that failed most often in a row. Outcome and stage are those of"
                " the last probe; an inconclusive one leaves the server as it was. A name leads"
                " to the server's own dashboard.",
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
                        words=words.texts(words.OUTCOME_COLORS),
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
            statuses(
                "History of broken servers",
                f"The {DRAWN} servers that failed most often in a row, over the time shown."
                " Red in the same column: they broke together, and have one cause. Red and"
                " green in turns: look at the stage and the latency of that server.",
                Query(
                    found_broken(catalog.PROBE_SUCCESS),
                    "{{server}} ({{project}})",
                    words.REACHABLE,
                ),
            ),
        ),
    )
