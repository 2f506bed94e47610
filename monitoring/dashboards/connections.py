"""Rows of the API dashboard about latency, connections, logins and certificates."""

from exporter.metrics import catalog
from monitoring.dashboards import value_mappings
from monitoring.dashboards.graphs import bar_chart, graph, latency_heatmap, with_exemplars
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Query, ValueFormat
from monitoring.dashboards.queries import (
    bucket_increase,
    increase,
    mean,
    quantile,
    rate,
    select,
    total,
)
from monitoring.dashboards.tables import Label, Number, Rows, table_of
from monitoring.parameters import Parameters

_REQUESTS = total(rate(catalog.API_REQUESTS))
_THROTTLED = f"{total(rate(catalog.THROTTLE_RESPONSES))} / ({_REQUESTS} > 0)"
_SOONEST = 20


def latency(parameters: Parameters) -> Row:
    """Show the latency of API requests."""
    duration = catalog.API_REQUEST_DURATION
    return row(
        "Latency",
        line(
            9,
            (14, 10),
            with_exemplars(
                "Request latency",
                "From sending a request to the end of its response, without time in the throttle."
                " Dots are exemplars: single requests with server id and request id.",
                ValueFormat(
                    unit="s",
                    base=value_mappings.GREEN,
                    steps=((parameters.api_slow_seconds, value_mappings.RED),),
                    low=0,
                ),
                *(
                    Query(quantile(share, duration), f"p{share * 100:g}")
                    for share in (0.5, 0.95, 0.99)
                ),
            ),
            graph(
                "95th percentile by project and operation",
                "If one project is slow, check its region. If one operation is slow, check its"
                " service; create_token is the login.",
                ValueFormat(unit="s", low=0),
                Query(
                    quantile(0.95, duration, by=("project", "operation")),
                    "{{project}} {{operation}}",
                ),
            ),
        ),
        line(
            8,
            (24,),
            latency_heatmap(
                "Latency distribution",
                "All requests. Two bands mean two kinds of responses, such as fast errors and"
                " slow successes.",
                bucket_increase(duration),
            ),
        ),
    )


def connections() -> Row:
    """Show how many connections are opened and how long that takes."""
    phase = catalog.CONNECTION_DURATION
    return row(
        "Connections",
        line(
            8,
            (8, 8, 8),
            graph(
                "Connection phases, 95th percentile",
                "If dns is slow, check the resolver; connect: the network or a proxy; tls: the"
                " server is busy.",
                ValueFormat(unit="s", low=0),
                Query(quantile(0.95, phase, by=("phase",)), "{{phase}}"),
            ),
            graph(
                "Connection phases, mean",
                "Compare with the 95th percentile: if the mean is high too, all connections are"
                " slow, otherwise a few.",
                ValueFormat(unit="s", low=0),
                Query(mean(phase, by=("phase",)), "{{phase}}"),
            ),
            graph(
                "Connections opened",
                "Connections are reused. If there are as many as requests, the server or a proxy"
                " closes them. Probes at depth page or more open one for each console.",
                ValueFormat(unit="cps", low=0),
                Query(total(rate(catalog.CONNECTIONS_OPENED), "project"), "{{project}}"),
            ),
        ),
    )


def login(parameters: Parameters) -> Row:
    """Show logins and the expiry of credentials and certificates."""
    expiry = select(catalog.AUTH_TOKEN_EXPIRY)
    certificate = select(catalog.CERTIFICATE_EXPIRY)
    return row(
        "Login and certificates",
        line(
            8,
            (8, 7, 9),
            graph(
                "Time until credentials expire",
                "A sawtooth above the dashed line is normal. Below the line the refresh fails, and"
                " probes become inconclusive when the credentials expire.",
                ValueFormat(
                    unit="s",
                    base=value_mappings.RED,
                    steps=((parameters.token_left, value_mappings.GREEN),),
                    low=0,
                ),
                Query(f"min by (project) ({expiry}) - time()", "{{project}}"),
            ),
            bar_chart(
                "Logins",
                "Failures are wrong or expired passwords, a locked account or missing permissions."
                " Five in a row lock the account, so the exporter backs off between attempts.",
                ValueFormat(unit="short", low=0, decimals=0),
                Query(total(increase(catalog.AUTH_REFRESHES), "project"), "{{project}} successful"),
                Query(total(increase(catalog.AUTH_FAILURES), "project"), "{{project}} failed"),
            ),
            table_of(
                "Certificates",
                f"The {_SOONEST} certificates of API and console hosts that expire next. Probes of"
                " a host with an expired certificate fail with tls_error: its owner must renew it.",
                [
                    Label(label="host", title="Host"),
                    Label(label="project", title="Project"),
                ],
                [
                    Number(
                        expression=(
                            f"bottomk({_SOONEST}, min by (project, host) ({certificate}) - time())"
                        ),
                        title="Expires in",
                        unit="s",
                        base=value_mappings.RED,
                        steps=(
                            (parameters.certificate_critical, value_mappings.ORANGE),
                            (parameters.certificate_warning, value_mappings.GREEN),
                        ),
                        decimals=1,
                    )
                ],
                Rows(by="Expires in", descending=False, empty="no https host seen"),
            ),
        ),
    )
