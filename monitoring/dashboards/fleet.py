"""Fleet: what is broken, since when, where, and whose fault it is."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.dashboards import broken, links, variables, words
from monitoring.dashboards.budget import budget_left, budget_left_figures, period_in_words
from monitoring.dashboards.dashboard import Sheet
from monitoring.dashboards.figures import figure
from monitoring.dashboards.graphs import graph, latency_map, stacked
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Figures, Query
from monitoring.dashboards.queries import (
    bucket_increase,
    or_zero,
    rate,
    recorded,
    select,
    total,
)
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.rule import INCONCLUSIVE

_SERVERS = f"count({select(catalog.SERVER_INFO)})"


def sheet(parameters: Parameters) -> Sheet:
    """Return the dashboard."""
    return Sheet(
        uid=links.FLEET,
        title="Console Exporter / Fleet",
        description=(
            "Can the remote consoles be opened, and if not, which, since when, where does it break"
            " and whose fault is it? Start here."
        ),
        since="now-3h",
        refresh="30s",
        variables=[
            *variables.exporters(),
            variables.projects(),
            variables.servers(),
            variables.broken(broken.DRAWN),
        ],
        rows=[
            _now(parameters),
            broken.causes(parameters),
            broken.servers(),
            _over_time(parameters),
        ],
    )


def _now(parameters: Parameters) -> Row:
    patience = duration(parameters.stale_intervals * parameters.probe_interval)
    stale = f"sum({recorded(recording.STALE)})"
    inconclusive = words.any_of("outcome", INCONCLUSIVE)
    return row(
        "Now",
        line(
            4,
            (4, 4, 4, 4, 4, 4),
            figure(
                "Servers",
                "How many servers are watched. Fewer than you own: some are missing from the"
                " configuration.",
                _SERVERS,
                Figures(unit="none", base=words.BLUE, empty="no exporter"),
            ),
            figure(
                "Reachable",
                "The share of servers whose console could be opened when last seen. Servers"
                " without a verdict yet do not count.",
                f"avg({select(catalog.PROBE_SUCCESS)})",
                Figures(
                    unit="percentunit",
                    base=words.RED,
                    steps=(
                        (parameters.fleet_success_ratio, words.ORANGE),
                        (parameters.objective, words.GREEN),
                    ),
                    decimals=2,
                    empty="no verdict yet",
                ),
            ),
            figure(
                "Broken",
                "Servers whose console could not be opened when last seen. The row below says"
                " where it breaks, the table further down names them.",
                f"sum(1 - {select(catalog.PROBE_SUCCESS)})",
                _bad_if_any(words.RED),
            ),
            figure(
                "Stale",
                f"Servers without a verdict for {patience}: they are shown as they were then,"
                " green or red. Look at Inconclusive beside this, then at the Exporter"
                " dashboard.",
                or_zero(stale, f"sum({recorded(recording.SERVERS)})"),
                _bad_if_any(words.ORANGE),
            ),
            figure(
                "Inconclusive",
                "Servers whose last probe proved nothing: throttled, not let in, skipped. It is"
                " our quota, our login or our fault, not theirs. See the API dashboard.",
                or_zero(
                    f"sum({select(catalog.PROBE_OUTCOME, inconclusive)})",
                    f"sum({select(catalog.PROBE_OUTCOME)})",
                ),
                _bad_if_any(words.YELLOW),
            ),
            figure(
                "Error budget left",
                f"What is left of the failures that the objective of {parameters.objective:.4g}"
                f" allows in {period_in_words(parameters)}, all projects picked together. Below"
                " 0 the objective is missed. See the SLO dashboard.",
                budget_left(parameters),
                budget_left_figures(),
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
                "The share of servers whose console could be opened. A step down is an outage"
                " of the project; one line among many at the bottom is that project's own.",
                Figures(
                    unit="percentunit",
                    base=words.RED,
                    steps=((parameters.fleet_success_ratio, words.GREEN),),
                    high=1,
                ),
                Query(f"avg by (project) ({recorded(recording.SUCCESS_RATIO)})", "{{project}}"),
            ),
            stacked(
                "Outcomes",
                "How probes ended, in probes a second. Reds are verdicts against consoles,"
                " yellows say nothing of them. Less in total than before: the pace was lowered,"
                " or the exporter is late.",
                Figures(unit="cps"),
                Query(total(rate(catalog.PROBES), "outcome") + " > 0", "{{outcome}}"),
                colors=_outcome_shades(),
            ),
        ),
        line(
            8,
            (24,),
            latency_map(
                "Time to hand out an address",
                "How long the cloud takes to answer for one console address. A band that moves"
                " up is a slow cloud; a second band above is some servers only, or time-outs.",
                bucket_increase(catalog.API_REQUEST_DURATION, 'operation="remote_console"'),
            ),
        ),
    )


def _bad_if_any(color: str) -> Figures:
    return Figures(
        unit="none",
        base=words.GREEN,
        steps=((1, color),),
        words=words.NONE,
        empty="not known",
    )


def _outcome_shades() -> dict[str, str]:
    """Return colours that tell outcomes of one verdict apart."""
    reds = (
        "dark-red",
        "red",
        "semi-dark-red",
        "light-red",
        "dark-orange",
        "orange",
        "light-orange",
    )
    yellows = ("yellow", "dark-yellow", "light-yellow", "semi-dark-yellow", "super-light-yellow")
    return {
        words.SUCCESS: words.GREEN,
        **{name: reds[index % len(reds)] for index, name in enumerate(words.FAILURES)},
        **dict(zip(INCONCLUSIVE, yellows, strict=True)),
    }
