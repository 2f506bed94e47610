"""Server: all that is known of one server's console."""

from exporter.metrics import catalog
from exporter.metrics.catalog import Metric
from monitoring.dashboards import links, variables, words
from monitoring.dashboards.dashboard import Sheet
from monitoring.dashboards.figures import figure
from monitoring.dashboards.graphs import counted, graph, stacked, timeline
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Figures, Query
from monitoring.dashboards.queries import RANGE, RATE, numbered, picked
from monitoring.dashboards.tables import attributes
from monitoring.metrics_page import OUTCOMES, STAGES
from monitoring.parameters import Parameters

_OUTCOME = numbered("outcome", OUTCOMES, lambda matcher: picked(catalog.PROBE_OUTCOME, matcher))
_STAGE = numbered("stage", ("", *STAGES), lambda matcher: picked(catalog.PROBE_OUTCOME, matcher))


def sheet(parameters: Parameters) -> Sheet:
    """Return the dashboard."""
    return Sheet(
        uid=links.SERVER,
        title="Console Exporter / Server",
        description=(
            "One server: can its console be opened now, since when not, and at which stage does it"
            " break?"
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
    failures = picked(catalog.PROBE_FAILURES)
    verdicts = picked(catalog.PROBE_VERDICTS)
    return row(
        "Now",
        line(
            4,
            (4, 5, 3, 4, 4, 4),
            figure(
                "Console",
                "The last verdict. Inconclusive probes leave it as it was: see when it was"
                " given, further right.",
                f"max({picked(catalog.PROBE_SUCCESS)})",
                Figures(unit="none", words=words.REACHABLE, empty="no verdict yet"),
            ),
            figure(
                "Last outcome",
                "How the last probe ended. Red counts against the console; yellow is our quota,"
                " our login or our fault.",
                _OUTCOME,
                Figures(unit="none", words=words.OUTCOME, empty="not probed yet"),
            ),
            figure(
                "Failures in a row",
                f"From {parameters.unavailable_failures} on it is reported as"
                " ConsoleUnavailable. Inconclusive probes do not count.",
                f"max({picked(catalog.PROBE_CONSECUTIVE_FAILURES)})",
                Figures(
                    unit="none",
                    base=words.GREEN,
                    steps=((1, words.ORANGE), (parameters.unavailable_failures, words.RED)),
                    words=words.NONE,
                    empty="not probed yet",
                ),
            ),
            figure(
                "Last success",
                "When the console could last be opened: it broke after that.",
                f"max({picked(catalog.PROBE_LAST_SUCCESS)}) * 1000",
                Figures(unit="dateTimeFromNow", empty="never"),
            ),
            figure(
                "Last verdict",
                "When a probe last told anything about the console. Long ago: all probes since"
                " were inconclusive, or there were none.",
                f"max({picked(catalog.PROBE_LAST_VERDICT)}) * 1000",
                Figures(unit="dateTimeFromNow", empty="never"),
            ),
            figure(
                "Success in the time shown",
                "The share of verdicts that were successes.",
                f"1 - sum(increase({failures}[{RANGE}]))"
                f" / (sum(increase({verdicts}[{RANGE}])) > 0)",
                Figures(
                    unit="percentunit",
                    base=words.RED,
                    steps=(
                        (parameters.fleet_success_ratio, words.ORANGE),
                        (parameters.objective, words.GREEN),
                    ),
                    decimals=1,
                    empty="no verdict",
                ),
            ),
        ),
    )


def _states() -> Row:
    return row(
        "What happened",
        line(
            8,
            (24,),
            timeline(
                "State",
                "Console: the verdict that stood. Outcome and failed stage: how the probe before"
                " ended. HTTP status: what the API said. Yellow under a steady verdict: probes"
                " that proved nothing.",
                Query(f"max({picked(catalog.PROBE_SUCCESS)})", "Console", words=words.REACHABLE),
                Query(_OUTCOME, "Outcome", words=words.OUTCOME),
                Query(_STAGE, "Failed stage", words=words.STAGE),
                Query(
                    f"max({picked(catalog.PROBE_STATUS_CODE)})",
                    "HTTP status",
                    words=words.HTTP_STATUS,
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
        "How long",
        line(
            8,
            (12, 6, 6),
            stacked(
                "Stages of the last probe",
                "Where a probe spends its time, without the wait for its turn. The stage that"
                " grows is the one that is slow; the last one shown is where it broke.",
                Figures(unit="s", low=0),
                Query(f"max by (stage) ({picked(catalog.PROBE_STAGE_DURATION)})", "{{stage}}"),
            ),
            graph(
                "Duration of the last probe",
                "All stages together. Close to the configured timeout: failures are near.",
                Figures(unit="s", low=0),
                Query(f"max({picked(catalog.PROBE_DURATION)})", "duration"),
            ),
            graph(
                "Time since the last",
                "A sawtooth is well. Attempts that grow old: the exporter does not probe."
                " Verdicts alone: probes prove nothing. Successes alone: the console is broken.",
                Figures(unit="s", low=0),
                *(Query(f"time() - max({picked(metric)})", name) for name, metric in ages),
            ),
        ),
    )


def _counters() -> Row:
    figures = Figures(unit="short", low=0, decimals=0)

    def each(metric: Metric, name: str) -> Query:
        return Query(f"sum(increase({picked(metric)}[{RATE}]))", name)

    return row(
        "How often",
        line(
            6,
            (8, 8, 8),
            counted(
                "Verdicts",
                "Probes that told something about the console. Fewer than before: throttled, or"
                " probed more rarely.",
                figures,
                each(catalog.PROBE_VERDICTS, "verdicts"),
            ),
            counted(
                "Failures",
                "Verdicts against the console. One now and then: look at the latency. All of them:"
                " it is broken.",
                figures,
                each(catalog.PROBE_FAILURES, "failures"),
            ),
            counted(
                "Throttled",
                "Probes that the cloud answered with 429. They are not held against the console;"
                " see the API dashboard.",
                figures,
                each(catalog.PROBE_THROTTLED, "throttled"),
            ),
        ),
    )


def _attributes() -> Row:
    return row(
        "What it is",
        line(
            4,
            (24,),
            attributes(
                "Attributes",
                "Region, depth of probing and the labels from the configuration. Two rows: two"
                " exporters probe this server and share its quota twice over.",
                picked(catalog.SERVER_INFO),
                hidden=("job",),
            ),
        ),
    )
