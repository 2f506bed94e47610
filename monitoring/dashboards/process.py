"""Rows of the Exporter dashboard about the process, its resources and its configuration."""

from exporter.metrics import catalog
from monitoring.dashboards import value_mappings
from monitoring.dashboards.graphs import bar_chart, graph, state_timeline
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Query, ValueFormat
from monitoring.dashboards.queries import (
    RATE,
    increase,
    own,
    quantile,
    select,
    total,
)
from monitoring.dashboards.tables import Label, Number, Rows, table_of

_LATE_SECONDS = 1.0
_LAG_SECONDS = 0.25
# Hides server lists that were never read: their timestamp is 0.
_NEVER_SECONDS = 10 * 365 * 86400.0


def work() -> Row:
    """Show event loop lag, scrape duration and log messages."""
    answer = catalog.SCRAPE_DURATION
    return row(
        "Responsiveness",
        line(
            8,
            (8, 8, 8),
            graph(
                "Event loop lag",
                "The maximum over the last minute. Peaks at every scrape mean too many series for"
                " this CPU.",
                ValueFormat(
                    unit="s",
                    base=value_mappings.GREEN,
                    steps=((_LAG_SECONDS, value_mappings.ORANGE),),
                    low=0,
                ),
                Query(f"max by (instance) ({select(catalog.EVENT_LOOP_LAG)})", "{{instance}}"),
            ),
            graph(
                "Scrape duration",
                "Measured by the exporter and by Prometheus. Scrapes that take longer than the"
                " scrape_timeout of Prometheus fail.",
                ValueFormat(unit="s", low=0),
                *(
                    Query(quantile(share, answer), f"p{share * 100:g}")
                    for share in (0.5, 0.95, 0.99)
                ),
                Query(
                    f"max by (instance) ({own('scrape_duration_seconds')})",
                    "{{instance}} measured by Prometheus",
                ),
            ),
            bar_chart(
                "Log messages",
                "By level. Errors are bugs of the exporter; warnings say what failed and why: read"
                " the log. Lost: the disk is full, or the pipe is not read.",
                ValueFormat(unit="short", low=0, decimals=0),
                Query(total(increase(catalog.LOG_MESSAGES), "level"), "{{level}}"),
                Query(total(increase(catalog.LOG_MESSAGES_LOST), "job"), "lost"),
            ),
        ),
    )


def resources() -> Row:
    """Show memory, CPU, file descriptors and garbage collections of the process."""
    processor = f"rate({own('process_cpu_seconds_total')}[{RATE}])"
    collected = f"rate({own('python_gc_collections_total')}[{RATE}])"
    return row(
        "Resources",
        line(
            8,
            (6, 6, 6, 6),
            graph(
                "Memory",
                "Resident memory. It grows with the number of servers and their history, then"
                " stays constant; growth over days is a leak.",
                ValueFormat(unit="bytes", low=0),
                Query(
                    f"sum by (instance) ({own('process_resident_memory_bytes')})",
                    "{{instance}}",
                ),
            ),
            graph(
                "CPU",
                "Share of one core; the exporter cannot use more. Near 100 %, split the servers"
                " into shards.",
                ValueFormat(unit="percentunit", low=0),
                Query(f"sum by (instance) ({processor})", "{{instance}}"),
            ),
            graph(
                "Open files",
                "Open file descriptors, mostly connections, as a share of the limit. Near 100 % new"
                " connections fail: raise the limit.",
                ValueFormat(unit="percentunit", low=0, high=1),
                Query(
                    f"max by (instance) ({own('process_open_fds')} / {own('process_max_fds')})",
                    "{{instance}}",
                ),
            ),
            graph(
                "Garbage collections",
                "By generation. Collections of generation 2 take longest and cause event loop lag.",
                ValueFormat(unit="cps", low=0),
                Query(f"sum by (generation) ({collected})", "generation {{generation}}"),
            ),
        ),
    )


def configuration() -> Row:
    """Show configuration, server lists and version of each exporter."""
    loaded = select(catalog.CONFIG_RELOAD_SUCCESS_TIME)
    age = f"(time() - {select(catalog.DISCOVERY_LAST_SUCCESS)})"
    return row(
        "Configuration",
        line(
            7,
            (10, 14),
            state_timeline(
                "Configuration reloads",
                "Red: the last reload failed, so the file on disk is not the active configuration."
                " The exporter would not start with that file.",
                Query(
                    f"min by (instance) ({select(catalog.CONFIG_RELOAD_SUCCESSFUL)})",
                    "{{instance}}",
                    mappings=value_mappings.LOADED,
                ),
            ),
            graph(
                "Servers by source",
                "The number of servers in each source. After a sudden drop check the list: servers"
                " that are not listed are not monitored.",
                ValueFormat(unit="none", low=0),
                Query(
                    f"sum by (project, source) ({select(catalog.DISCOVERY_SERVERS)})",
                    "{{project}} {{source}}",
                ),
                Query(f"sum({select(catalog.TARGETS)})", "probed"),
            ),
        ),
        line(
            7,
            (12, 12),
            graph(
                "Age of server lists",
                "Time since a source was last known to be up to date. It rises while a list cannot"
                " be read; new servers are not monitored meanwhile.",
                ValueFormat(unit="s", low=0),
                Query(
                    f"max by (project, source) ({age} < {_NEVER_SECONDS:g})",
                    "{{project}} {{source}}",
                ),
            ),
            bar_chart(
                "Server list refreshes",
                "Files are read when they change, the cloud's list every refresh_interval. After a"
                " failure the last valid list stays active; the log has the reason.",
                ValueFormat(unit="short", low=0, decimals=0),
                Query(
                    total(increase(catalog.DISCOVERY_REFRESHES), "project, source"),
                    "{{project}} {{source}}",
                ),
                Query(
                    total(increase(catalog.DISCOVERY_FAILURES), "project, source"),
                    "{{project}} {{source}} failed",
                ),
            ),
        ),
        line(
            6,
            (24,),
            table_of(
                "Exporters by instance",
                "Exporters with the same configuration file must have the same version and"
                " configuration hash; otherwise one was not updated or not reloaded.",
                [
                    Label(label="instance", title="Instance"),
                    Label(label="version", title="Version"),
                    Label(label="python_version", title="Python"),
                ],
                [
                    Number(
                        expression=f"max by (instance) ({own('up')})",
                        title="State",
                        unit="none",
                        mappings=value_mappings.UP,
                    ),
                    Number(
                        expression=(
                            "max by (instance, version, python_version)"
                            f" ({select(catalog.CONFIG_HASH)} * on (job, instance)"
                            " group_left (version, python_version)"
                            f" {select(catalog.BUILD_INFO)})"
                        ),
                        title="Configuration hash",
                        unit="hex",
                        decimals=0,
                    ),
                    Number(
                        expression=f"max by (instance) ({loaded}) * 1000",
                        title="Loaded",
                        unit="dateTimeFromNow",
                    ),
                    Number(
                        expression=(
                            f"max by (instance) ({own('process_start_time_seconds')}) * 1000"
                        ),
                        title="Started",
                        unit="dateTimeFromNow",
                    ),
                    Number(
                        expression=f"max by (instance) ({select(catalog.TARGETS)})",
                        title="Servers",
                        unit="none",
                    ),
                    Number(
                        expression=f"max by (instance) ({own('scrape_samples_scraped')})",
                        title="Series",
                        unit="short",
                    ),
                ],
                Rows(by="Instance", descending=False, empty="no exporter"),
            ),
        ),
    )
