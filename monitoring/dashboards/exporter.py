"""Exporter: does it keep up with its work, and which one runs what."""

from exporter.metrics import catalog
from monitoring.dashboards import links, process, variables, words
from monitoring.dashboards.dashboard import Sheet
from monitoring.dashboards.figures import figure, names
from monitoring.dashboards.graphs import counted, graph, latency_map
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Figures, Query
from monitoring.dashboards.queries import (
    bucket_increase,
    increase,
    own,
    quantile,
    select,
    total,
)
from monitoring.parameters import Parameters

_LATE_SECONDS = 1.0
_LAG_SECONDS = 0.25


def sheet(parameters: Parameters) -> Sheet:
    """Return the dashboard."""
    return Sheet(
        uid=links.EXPORTER,
        title="Console Exporter / Exporter",
        description=(
            "Is the exporter itself well: does it answer, probe on time, have the resources it"
            " needs, and run the configuration it should?"
        ),
        since="now-3h",
        refresh="30s",
        variables=[
            *variables.exporters(),
            variables.projects(),
        ],
        rows=[
            _now(),
            _schedule(parameters),
            process.work(),
            process.resources(),
            process.configuration(),
        ],
    )


def _now() -> Row:
    return row(
        "Now",
        line(
            4,
            (4, 4, 4, 3, 3, 3, 3),
            figure(
                "Exporters",
                "Whether Prometheus reaches all exporters of the job. While one is down, its"
                " servers are not watched.",
                f"min({own('up')})",
                Figures(unit="none", words=words.UP, empty="no such job"),
            ),
            names(
                "Version",
                "What runs. Two versions at once: an update is under way, or was forgotten"
                " somewhere.",
                Query(f"count by (version) ({select(catalog.BUILD_INFO)})", "{{version}}"),
            ),
            names(
                "Shards",
                "The parts that the servers are divided into, and have an exporter. One is missing:"
                " nobody watches its servers.",
                Query(
                    f"count by (index, count) ({select(catalog.SHARD_INFO)})",
                    "{{index}} of {{count}}",
                ),
            ),
            figure(
                "Servers probed",
                "Servers of all projects. Differs from your inventory: look at Servers by"
                " source, below.",
                f"sum({select(catalog.TARGETS)})",
                Figures(unit="none", empty="no exporter"),
            ),
            figure(
                "Overdue",
                "Servers that were not attempted for two intervals: the exporter is stuck, or"
                " the throttle lets too few through.",
                f"sum({select(catalog.SCHEDULER_OVERDUE)})",
                Figures(
                    unit="none",
                    base=words.GREEN,
                    steps=((1, words.ORANGE),),
                    words=words.NONE,
                    empty="no exporter",
                ),
            ),
            figure(
                "Configuration",
                "The last attempt to load it. Refused: the one before still runs; the log of the"
                " exporter, or console-exporter check-config, lists the mistakes.",
                f"min({select(catalog.CONFIG_RELOAD_SUCCESSFUL)})",
                Figures(unit="none", words=words.LOADED, empty="no exporter"),
            ),
            figure(
                "Lag",
                "The longest that the exporter was late to attend to anything in the last"
                " minute. Above the first step latencies are measured too long.",
                f"max({select(catalog.EVENT_LOOP_LAG)})",
                Figures(
                    unit="s",
                    base=words.GREEN,
                    steps=((_LAG_SECONDS, words.ORANGE), (_LATE_SECONDS, words.RED)),
                    empty="no exporter",
                ),
            ),
        ),
    )


def _schedule(parameters: Parameters) -> Row:
    late = catalog.SCHEDULER_LATENESS
    return row(
        "Schedule",
        line(
            8,
            (10, 7, 7),
            graph(
                "Lateness",
                "Start of a probe minus the time it was due. Milliseconds are well; seconds mean"
                " that the throttle, or the processor, is the bottleneck.",
                Figures(
                    unit="s",
                    base=words.GREEN,
                    steps=((min(_LATE_SECONDS, parameters.probe_interval), words.ORANGE),),
                    low=0,
                ),
                *(Query(quantile(share, late), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)),
            ),
            counted(
                "Missed probes",
                "Turns that came while the previous probe still ran, or that the throttle did"
                " not grant in time. More than a few: lengthen the interval.",
                Figures(unit="short", low=0, decimals=0),
                Query(total(increase(catalog.SCHEDULER_MISSED), "instance"), "{{instance}}"),
            ),
            graph(
                "Overdue servers",
                "Not attempted for two intervals. All of them at once: the scheduler stands"
                " still; restart the exporter and keep its log.",
                Figures(unit="none", low=0),
                Query(f"sum by (instance) ({select(catalog.SCHEDULER_OVERDUE)})", "{{instance}}"),
            ),
        ),
        line(
            7,
            (24,),
            latency_map(
                "Distribution of lateness",
                "A second band far above: some servers wait for a throttle, the others do not.",
                bucket_increase(late),
            ),
        ),
    )
