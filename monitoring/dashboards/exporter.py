"""The Exporter dashboard: schedule, resources and configuration of the exporters."""

from exporter.metrics import catalog
from monitoring.dashboards import links, process, value_mappings, variables
from monitoring.dashboards.dashboard import DashboardSpec
from monitoring.dashboards.graphs import bar_chart, graph, latency_heatmap
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Query, ValueFormat
from monitoring.dashboards.queries import (
    bucket_increase,
    increase,
    own,
    quantile,
    select,
    total,
)
from monitoring.dashboards.value_panels import name_panel, stat_panel
from monitoring.parameters import Parameters

_LATE_SECONDS = 1.0
_LAG_SECONDS = 0.25


def dashboard(parameters: Parameters) -> DashboardSpec:
    """Return the dashboard."""
    return DashboardSpec(
        uid=links.EXPORTER,
        title="Console Exporter / Exporter",
        description=(
            "Is the exporter healthy: can it be scraped, does it probe on time, does it have enough"
            " resources, and is its configuration up to date?"
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
            stat_panel(
                "Exporters",
                "Whether Prometheus can scrape all exporters of the job. The servers of an exporter"
                " that is down are not monitored.",
                f"min({own('up')})",
                ValueFormat(unit="none", mappings=value_mappings.UP, empty="no such job"),
            ),
            name_panel(
                "Version",
                "The running versions. Two at the same time: an update is in progress, or one"
                " exporter was not updated.",
                Query(f"count by (version) ({select(catalog.BUILD_INFO)})", "{{version}}"),
            ),
            name_panel(
                "Shards",
                "The shards that have an exporter. The servers of a missing shard are not"
                " monitored.",
                Query(
                    f"count by (index, count) ({select(catalog.SHARD_INFO)})",
                    "{{index}} of {{count}}",
                ),
            ),
            stat_panel(
                "Servers probed",
                "Servers of all projects. If the number differs from your inventory, see Servers by"
                " source below.",
                f"sum({select(catalog.TARGETS)})",
                ValueFormat(unit="none", empty="no exporter"),
            ),
            stat_panel(
                "Overdue",
                "Servers without a probe for two intervals: the exporter hangs, or the rate limit"
                " is too low.",
                f"sum({select(catalog.SCHEDULER_OVERDUE)})",
                ValueFormat(
                    unit="none",
                    base=value_mappings.GREEN,
                    steps=((1, value_mappings.ORANGE),),
                    mappings=value_mappings.NONE,
                    empty="no exporter",
                ),
            ),
            stat_panel(
                "Configuration",
                "Result of the last reload. If it failed, the previous configuration stays active;"
                " the log, or console-exporter check-config, lists the errors.",
                f"min({select(catalog.CONFIG_RELOAD_SUCCESSFUL)})",
                ValueFormat(unit="none", mappings=value_mappings.LOADED, empty="no exporter"),
            ),
            stat_panel(
                "Maximum event loop lag",
                "The maximum event loop lag over the last minute. When it is orange or red, the"
                " measured latencies are too high.",
                f"max({select(catalog.EVENT_LOOP_LAG)})",
                ValueFormat(
                    unit="s",
                    base=value_mappings.GREEN,
                    steps=(
                        (_LAG_SECONDS, value_mappings.ORANGE),
                        (_LATE_SECONDS, value_mappings.RED),
                    ),
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
                "Delay between the scheduled and the actual start of a probe. Milliseconds are"
                " normal; seconds mean that the throttle or the CPU is the bottleneck.",
                ValueFormat(
                    unit="s",
                    base=value_mappings.GREEN,
                    steps=((min(_LATE_SECONDS, parameters.probe_interval), value_mappings.ORANGE),),
                    low=0,
                ),
                *(Query(quantile(share, late), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)),
            ),
            bar_chart(
                "Missed probes",
                "Scheduled probes that were not made, because the previous one still ran or the"
                " rate limit left no time. More than a few: lengthen the interval.",
                ValueFormat(unit="short", low=0, decimals=0),
                Query(total(increase(catalog.SCHEDULER_MISSED), "instance"), "{{instance}}"),
            ),
            graph(
                "Overdue servers",
                "Servers without a probe for two intervals. If it is all of them, the scheduler"
                " hangs: save the log and restart the exporter.",
                ValueFormat(unit="none", low=0),
                Query(f"sum by (instance) ({select(catalog.SCHEDULER_OVERDUE)})", "{{instance}}"),
            ),
        ),
        line(
            7,
            (24,),
            latency_heatmap(
                "Distribution of lateness",
                "A second band far above: the probes of some projects wait in the throttle.",
                bucket_increase(late),
            ),
        ),
    )
