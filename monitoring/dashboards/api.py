"""The API dashboard: requests, errors, latency, throttling, login and certificates."""

from exporter.metrics import catalog
from monitoring.dashboards import connections, links, value_mappings, variables
from monitoring.dashboards.dashboard import DashboardSpec
from monitoring.dashboards.graphs import bar_chart, graph, stacked, state_timeline
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Query, ValueFormat
from monitoring.dashboards.queries import (
    increase,
    quantile,
    rate,
    select,
    total,
)
from monitoring.dashboards.value_panels import stat_panel
from monitoring.parameters import Parameters

_REQUESTS = total(rate(catalog.API_REQUESTS))
_THROTTLED = f"{total(rate(catalog.THROTTLE_RESPONSES))} / ({_REQUESTS} > 0)"
_SOONEST = 20


def dashboard(parameters: Parameters) -> DashboardSpec:
    """Return the dashboard."""
    return DashboardSpec(
        uid=links.API,
        title="Console Exporter / API and throttling",
        description=(
            "Does the cloud's API work, how fast does it respond, does the login work, and is the"
            " request rate within the quota?"
        ),
        since="now-3h",
        refresh="30s",
        variables=[
            *variables.exporters(),
            variables.projects(),
        ],
        rows=[
            _now(parameters),
            _requests(parameters),
            _throttle(),
            connections.latency(parameters),
            connections.connections(),
            connections.login(parameters),
        ],
    )


def _now(parameters: Parameters) -> Row:
    failing = total(rate(catalog.API_REQUESTS, 'code=~"5..|none"'))
    expiry = select(catalog.AUTH_TOKEN_EXPIRY)
    rate_ratio = f"{select(catalog.THROTTLE_LIMIT)} / {select(catalog.THROTTLE_CEILING)}"
    return row(
        "Now",
        line(
            4,
            (4, 4, 4, 4, 4, 4),
            stat_panel(
                "Requests failing",
                "The share of requests with a 5xx status or no response. The cause is the cloud or"
                " the network: check the cloud's status page, then contact its support.",
                f"{failing} / ({_REQUESTS} > 0)",
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.GREEN,
                    steps=(
                        (0.01, value_mappings.ORANGE),
                        (parameters.api_unavailable_ratio, value_mappings.RED),
                    ),
                    decimals=1,
                    empty="no requests",
                ),
            ),
            stat_panel(
                "Requests with status 429",
                "The share of requests that exceeded the quota. People who use the project share it"
                " and get 429, too: lower rate_limit or lengthen the interval.",
                _THROTTLED,
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.GREEN,
                    steps=((parameters.api_throttled_ratio, value_mappings.YELLOW),),
                    decimals=1,
                    empty="no requests",
                ),
            ),
            stat_panel(
                "Lowest rate limit",
                "The lowest current request rate limit of a project, as a share of its rate_limit."
                " Below 100 % after a 429 response; it rises again by itself.",
                f"min({rate_ratio})",
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.YELLOW,
                    steps=((0.999, value_mappings.GREEN),),
                    decimals=0,
                    empty="no exporter",
                ),
            ),
            stat_panel(
                "Waiting requests",
                "Requests that wait in the throttle. A few are normal. If the number keeps growing,"
                " the interval is too short for the rate limit: console-exporter check-config"
                " says by how much.",
                f"sum({select(catalog.THROTTLE_QUEUE_LENGTH)})",
                ValueFormat(unit="none", empty="no exporter"),
            ),
            stat_panel(
                "95th percentile latency",
                "95 % of requests complete within this time. When it is red, probes may soon fail"
                " with outcome timeout.",
                quantile(0.95, catalog.API_REQUEST_DURATION),
                ValueFormat(
                    unit="s",
                    base=value_mappings.GREEN,
                    steps=(
                        (parameters.api_slow_seconds / 2, value_mappings.ORANGE),
                        (parameters.api_slow_seconds, value_mappings.RED),
                    ),
                    empty="no requests",
                ),
            ),
            stat_panel(
                "Credentials expire in",
                "Credentials are refreshed before they expire; red: the refresh did not work. The"
                " expiry of fixed tokens and keys is unknown.",
                f"min({expiry} - time())",
                ValueFormat(
                    unit="s",
                    base=value_mappings.RED,
                    steps=((parameters.token_left, value_mappings.GREEN),),
                    empty="no expiry known",
                ),
            ),
        ),
    )


def _requests(parameters: Parameters) -> Row:
    project = "project"
    share = (
        f"{total(rate(catalog.THROTTLE_RESPONSES), project)}"
        f" / ({total(rate(catalog.API_REQUESTS), project)} > 0)"
    )
    return row(
        "Requests",
        line(
            8,
            (9, 8, 7),
            stacked(
                "Requests by status",
                "200 is success. 401 and 403: login or permissions. 429: quota. 400 and 404: single"
                " servers. 5xx and none (no response): the cloud or the network.",
                ValueFormat(unit="reqps", low=0),
                Query(f"{total(rate(catalog.API_REQUESTS), 'code')} > 0", "{{code}}"),
                colors={
                    "200": value_mappings.GREEN,
                    "201": "light-green",
                    "401": "dark-yellow",
                    "403": "light-yellow",
                    "429": value_mappings.YELLOW,
                    "none": "dark-red",
                },
            ),
            graph(
                "Share of status 429 by project",
                "Above the dashed line for long: the exporter, or another user of the shared quota,"
                " sends more requests than the quota allows.",
                ValueFormat(
                    unit="percentunit",
                    base=value_mappings.GREEN,
                    steps=((parameters.api_throttled_ratio, value_mappings.YELLOW),),
                    low=0,
                ),
                Query(share, "{{project}}"),
            ),
            graph(
                "Requests by operation",
                "Probes use remote_console. Requests of create_token should be rare: many of them"
                " mean that logins fail or that tokens do not last.",
                ValueFormat(unit="reqps", low=0),
                Query(total(rate(catalog.API_REQUESTS), "operation"), "{{operation}}"),
            ),
        ),
        line(
            7,
            (12, 12),
            bar_chart(
                "Error codes",
                "The 10 most frequent error codes of the cloud. Its support needs the code and a"
                " request id, which is in the log.",
                ValueFormat(unit="short", low=0, decimals=0),
                Query(
                    f"topk(10, {total(increase(catalog.API_ERRORS), 'error_code')} > 0)",
                    "{{error_code}}",
                ),
            ),
            graph(
                "Requests in flight",
                "Requests that wait for a response. A plateau means that the cloud responds slowly"
                " or not at all.",
                ValueFormat(unit="none", low=0),
                Query(f"sum by (project) ({select(catalog.API_IN_FLIGHT)})", "{{project}}"),
            ),
        ),
    )


def _throttle() -> Row:
    waited = total(rate(catalog.THROTTLE_WAIT), "project")
    sent = total(rate(catalog.API_REQUESTS), "project")
    resume = select(catalog.THROTTLE_RESUME)
    return row(
        "Throttle",
        line(
            8,
            (12, 6, 6),
            graph(
                "Request rate and limits",
                "A 429 response at least halves the current limit; without further 429 it rises"
                " again to rate_limit of the configuration. If it never gets there, rate_limit"
                " is too high for the quota.",
                ValueFormat(unit="reqps", low=0),
                Query(
                    f"sum by (project) ({select(catalog.THROTTLE_LIMIT)})",
                    "{{project}} current limit",
                ),
                Query(
                    f"sum by (project) ({select(catalog.THROTTLE_CEILING)})",
                    "{{project}} rate_limit",
                ),
                Query(sent, "{{project}} sent"),
            ),
            graph(
                "Throttle wait",
                "The average time that a request waits in the throttle. It is not part of the"
                " latency. Probes that would wait beyond their interval are skipped.",
                ValueFormat(unit="s", low=0),
                Query(f"{waited} / ({sent} > 0)", "{{project}}"),
            ),
            graph(
                "Queue",
                "Requests that wait in the throttle. If the queue keeps growing, lengthen the"
                " interval.",
                ValueFormat(unit="none", low=0),
                Query(
                    f"sum by (project) ({select(catalog.THROTTLE_QUEUE_LENGTH)})",
                    "{{project}}",
                ),
            ),
        ),
        line(
            6,
            (12, 12),
            state_timeline(
                "Cool-down",
                "The project sends no requests for as long as a 429 response asked for.",
                Query(
                    f"max by (project) ({resume} > bool time())",
                    "{{project}}",
                    mappings=value_mappings.COOLING,
                ),
            ),
            bar_chart(
                "429 responses",
                "Responses with status 429, all operations. A few at a time are normal while the"
                " rate adapts to the quota.",
                ValueFormat(unit="short", low=0, decimals=0),
                Query(total(increase(catalog.THROTTLE_RESPONSES), "project"), "{{project}}"),
            ),
        ),
    )
