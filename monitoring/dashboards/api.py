"""API and throttling: what the cloud answers, how fast, and how fast we may ask."""

from exporter.metrics import catalog
from monitoring.dashboards import connections, links, variables, words
from monitoring.dashboards.dashboard import Sheet
from monitoring.dashboards.figures import figure
from monitoring.dashboards.graphs import counted, graph, stacked, timeline
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Figures, Query
from monitoring.dashboards.queries import (
    increase,
    quantile,
    rate,
    select,
    total,
)
from monitoring.parameters import Parameters

_REQUESTS = total(rate(catalog.API_REQUESTS))
_THROTTLED = f"{total(rate(catalog.THROTTLE_RESPONSES))} / ({_REQUESTS} > 0)"
_SOONEST = 20


def sheet(parameters: Parameters) -> Sheet:
    """Return the dashboard."""
    return Sheet(
        uid=links.API,
        title="Console Exporter / API and throttling",
        description=(
            "Does the cloud's API answer, how fast, does it let us in, and is our pace within its"
            " quota?"
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
    pace = f"{select(catalog.THROTTLE_LIMIT)} / {select(catalog.THROTTLE_CEILING)}"
    return row(
        "Now",
        line(
            4,
            (4, 4, 4, 4, 4, 4),
            figure(
                "Requests failing",
                "The share of requests answered with a 5xx or not at all. It is the cloud or"
                " the way to it: ask its status page, then its support.",
                f"{failing} / ({_REQUESTS} > 0)",
                Figures(
                    unit="percentunit",
                    base=words.GREEN,
                    steps=(
                        (0.01, words.ORANGE),
                        (parameters.api_unavailable_ratio, words.RED),
                    ),
                    decimals=1,
                    empty="no requests",
                ),
            ),
            figure(
                "Answered 429",
                "The share of requests that the cloud refused as too many. People who work with"
                " the project are refused too: lower rate_limit or probe more rarely.",
                _THROTTLED,
                Figures(
                    unit="percentunit",
                    base=words.GREEN,
                    steps=((parameters.api_throttled_ratio, words.YELLOW),),
                    decimals=1,
                    empty="no requests",
                ),
            ),
            figure(
                "Slowest project's pace",
                "The lowest pace of a project, as a share of its ceiling. Below 1 the cloud has"
                " lately said 429; it climbs back by itself.",
                f"min({pace})",
                Figures(
                    unit="percentunit",
                    base=words.YELLOW,
                    steps=((0.999, words.GREEN),),
                    decimals=0,
                    empty="no exporter",
                ),
            ),
            figure(
                "Waiting requests",
                "Requests that wait for their turn. A few are well; more and more: the interval"
                " is too short for the rate limit, console-exporter check-config says by how"
                " much.",
                f"sum({select(catalog.THROTTLE_QUEUE_LENGTH)})",
                Figures(unit="none", empty="no exporter"),
            ),
            figure(
                "95 of 100 requests within",
                "The time within which 95 % of requests are answered. Above the step colours,"
                " probes soon end as timeout.",
                quantile(0.95, catalog.API_REQUEST_DURATION),
                Figures(
                    unit="s",
                    base=words.GREEN,
                    steps=(
                        (parameters.api_slow_seconds / 2, words.ORANGE),
                        (parameters.api_slow_seconds, words.RED),
                    ),
                    empty="no requests",
                ),
            ),
            figure(
                "Next credentials end in",
                "Credentials are had anew ahead of their end. Below the red step that did not"
                " work. Fixed tokens and keys have no end that is known.",
                f"min({expiry} - time())",
                Figures(
                    unit="s",
                    base=words.RED,
                    steps=((parameters.token_left, words.GREEN),),
                    empty="no end known",
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
                "200 is well. 401, 403: our login; 429: our quota; 400, 404: single servers;"
                " 5xx and none (no answer): the cloud or the way to it.",
                Figures(unit="reqps", low=0),
                Query(f"{total(rate(catalog.API_REQUESTS), 'code')} > 0", "{{code}}"),
                colors={
                    "200": words.GREEN,
                    "201": "light-green",
                    "401": "dark-yellow",
                    "403": "light-yellow",
                    "429": words.YELLOW,
                    "none": "dark-red",
                },
            ),
            graph(
                "Share answered 429, by project",
                "Above the dashed line for long, the project asks more than its quota allows,"
                " or somebody else does: the quota is shared.",
                Figures(
                    unit="percentunit",
                    base=words.GREEN,
                    steps=((parameters.api_throttled_ratio, words.YELLOW),),
                    low=0,
                ),
                Query(share, "{{project}}"),
            ),
            graph(
                "Requests by operation",
                "remote_console is the probes; create_token should be rare: many of them are"
                " log-ins that fail or do not last.",
                Figures(unit="reqps", low=0),
                Query(total(rate(catalog.API_REQUESTS), "operation"), "{{operation}}"),
            ),
        ),
        line(
            7,
            (12, 12),
            counted(
                "Error codes",
                "The cloud's own codes, the 10 most frequent at each moment. Give them and a"
                " request id, which the log has, to its support.",
                Figures(unit="short", low=0, decimals=0),
                Query(
                    f"topk(10, {total(increase(catalog.API_ERRORS), 'error_code')} > 0)",
                    "{{error_code}}",
                ),
            ),
            graph(
                "Requests in flight",
                "Requests that wait for their answer. A plateau: the cloud answers late or not"
                " at all.",
                Figures(unit="none", low=0),
                Query(f"sum by (project) ({select(catalog.API_IN_FLIGHT)})", "{{project}}"),
            ),
        ),
    )


def _throttle() -> Row:
    waited = total(rate(catalog.THROTTLE_WAIT), "project")
    asked = total(rate(catalog.API_REQUESTS), "project")
    resume = select(catalog.THROTTLE_RESUME)
    return row(
        "Throttle",
        line(
            8,
            (12, 6, 6),
            graph(
                "Pace against ceiling",
                "A 429 halves the pace at once; quiet raises it step by step to the ceiling,"
                " rate_limit in the configuration. Never near the ceiling: it is set too high.",
                Figures(unit="reqps", low=0),
                Query(f"sum by (project) ({select(catalog.THROTTLE_LIMIT)})", "{{project}} pace"),
                Query(
                    f"sum by (project) ({select(catalog.THROTTLE_CEILING)})",
                    "{{project}} ceiling",
                ),
                Query(asked, "{{project}} asked"),
            ),
            graph(
                "Wait for a turn",
                "How long a request waits on average. It is no part of the latency, but beyond"
                " the interval probes are skipped.",
                Figures(unit="s", low=0),
                Query(f"{waited} / ({asked} > 0)", "{{project}}"),
            ),
            graph(
                "Queue",
                "Requests that wait for their turn. One that keeps growing never catches up:"
                " lengthen the interval.",
                Figures(unit="none", low=0),
                Query(
                    f"sum by (project) ({select(catalog.THROTTLE_QUEUE_LENGTH)})",
                    "{{project}}",
                ),
            ),
        ),
        line(
            6,
            (12, 12),
            timeline(
                "Cool-down",
                "While it lasts a project asks nothing, as the cloud demanded with a 429.",
                Query(
                    f"max by (project) ({resume} > bool time())",
                    "{{project}}",
                    words=words.COOLING,
                ),
            ),
            counted(
                "Answers 429",
                "How often the cloud refused, any operation. A few at a time are how the pace"
                " finds its limit.",
                Figures(unit="short", low=0, decimals=0),
                Query(total(increase(catalog.THROTTLE_RESPONSES), "project"), "{{project}}"),
            ),
        ),
    )
