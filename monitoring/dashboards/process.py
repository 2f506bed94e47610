"""How the process is doing and what it runs: rows of the Exporter dashboard."""

from exporter.metrics import catalog
from monitoring.dashboards import words
from monitoring.dashboards.graphs import counted, graph, timeline
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Figures, Query
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
# A list that was never read has the time 0.
_NEVER_SECONDS = 10 * 365 * 86400.0


def work() -> Row:
    """Show how quickly the exporter answers."""
    answer = catalog.SCRAPE_DURATION
    return row(
        "Answering",
        line(
            8,
            (8, 8, 8),
            graph(
                "Event loop lag",
                "The worst of each minute. Peaks with every scrape: too many series for this"
                " processor.",
                Figures(
                    unit="s",
                    base=words.GREEN,
                    steps=((_LAG_SECONDS, words.ORANGE),),
                    low=0,
                ),
                Query(f"max by (instance) ({select(catalog.EVENT_LOOP_LAG)})", "{{instance}}"),
            ),
            graph(
                "Time to answer a scrape",
                "As the exporter measures it. Near Prometheus' scrape_timeout its metrics will"
                " be lost.",
                Figures(unit="s", low=0),
                *(
                    Query(quantile(share, answer), f"p{share * 100:g}")
                    for share in (0.5, 0.95, 0.99)
                ),
                Query(
                    f"max by (instance) ({own('scrape_duration_seconds')})",
                    "{{instance}} as Prometheus sees it",
                ),
            ),
            counted(
                "Log messages",
                "By level. Errors are faults of the exporter itself: read the log. Warnings are"
                " what it could not do, and why. Lost: the disk is full, or nobody reads them.",
                Figures(unit="short", low=0, decimals=0),
                Query(total(increase(catalog.LOG_MESSAGES), "level"), "{{level}}"),
                Query(total(increase(catalog.LOG_MESSAGES_LOST), "job"), "lost"),
            ),
        ),
    )


def resources() -> Row:
    """Show what the process uses."""
    processor = f"rate({own('process_cpu_seconds_total')}[{RATE}])"
    collected = f"rate({own('python_gc_collections_total')}[{RATE}])"
    return row(
        "Resources",
        line(
            8,
            (6, 6, 6, 6),
            graph(
                "Memory",
                "Resident memory. It grows with servers and history, then stays; a line that"
                " climbs for days is a leak.",
                Figures(unit="bytes", low=0),
                Query(
                    f"sum by (instance) ({own('process_resident_memory_bytes')})",
                    "{{instance}}",
                ),
            ),
            graph(
                "Processor",
                "Cores in use; the exporter cannot use more than one. Near 1: divide the servers"
                " among several exporters.",
                Figures(unit="percentunit", low=0),
                Query(f"sum by (instance) ({processor})", "{{instance}}"),
            ),
            graph(
                "Open files",
                "Share of the file descriptors allowed: connections, mostly. Near 1 new"
                " connections fail: raise the limit.",
                Figures(unit="percentunit", low=0, high=1),
                Query(
                    f"max by (instance) ({own('process_open_fds')} / {own('process_max_fds')})",
                    "{{instance}}",
                ),
            ),
            graph(
                "Garbage collections",
                "By generation. Many of generation 2 cost time in one piece and show as event"
                " loop lag.",
                Figures(unit="cps", low=0),
                Query(f"sum by (generation) ({collected})", "generation {{generation}}"),
            ),
        ),
    )


def configuration() -> Row:
    """Show which configuration and version each exporter runs."""
    loaded = select(catalog.CONFIG_RELOAD_SUCCESS_TIME)
    age = f"(time() - {select(catalog.DISCOVERY_LAST_SUCCESS)})"
    return row(
        "Configuration",
        line(
            7,
            (10, 14),
            timeline(
                "Loading",
                "Red: the file on disk is not the one that runs, and the exporter would not"
                " start again with it.",
                Query(
                    f"min by (instance) ({select(catalog.CONFIG_RELOAD_SUCCESSFUL)})",
                    "{{instance}}",
                    words=words.LOADED,
                ),
            ),
            graph(
                "Servers by source",
                "Servers that each source yields. A sudden drop is a list that was cut by"
                " mistake: what is not on it is not watched.",
                Figures(unit="none", low=0),
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
                "Since the servers of a source were last known to be current. It climbs while a"
                " list cannot be read: new servers are not noticed meanwhile.",
                Figures(unit="s", low=0),
                Query(
                    f"max by (project, source) ({age} < {_NEVER_SECONDS:g})",
                    "{{project}} {{source}}",
                ),
            ),
            counted(
                "Reading of server lists",
                "Files are read when they change, the cloud's list at refresh_interval. Failures"
                " leave the last good list in effect: the log says why.",
                Figures(unit="short", low=0, decimals=0),
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
                "Exporters of one job that should be alike differ in version or in the"
                " fingerprint of their configuration: one was not updated, or not reloaded.",
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
                        words=words.UP,
                    ),
                    Number(
                        expression=(
                            "max by (instance, version, python_version)"
                            f" ({select(catalog.CONFIG_HASH)} * on (job, instance)"
                            " group_left (version, python_version)"
                            f" {select(catalog.BUILD_INFO)})"
                        ),
                        title="Configuration",
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
