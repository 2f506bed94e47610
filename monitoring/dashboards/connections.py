"""Latency, connections, log-ins and certificates: rows of the API dashboard."""

from exporter.metrics import catalog
from monitoring.dashboards import words
from monitoring.dashboards.graphs import counted, exemplified, graph, latency_map
from monitoring.dashboards.layout import Row, line, row
from monitoring.dashboards.panels import Figures, Query
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
    """Show how long answers take."""
    duration = catalog.API_REQUEST_DURATION
    return row(
        "Latency",
        line(
            9,
            (14, 10),
            exemplified(
                "Time to answer",
                "From sending a request to the end of its answer, without the wait for a turn."
                " Dots are single requests: they carry the server and the cloud's request id.",
                Figures(
                    unit="s",
                    base=words.GREEN,
                    steps=((parameters.api_slow_seconds, words.RED),),
                    low=0,
                ),
                *(
                    Query(quantile(share, duration), f"p{share * 100:g}")
                    for share in (0.5, 0.95, 0.99)
                ),
            ),
            graph(
                "95 % by project and operation",
                "One project alone is its region; one operation alone is the service behind it,"
                " create_token the log-in.",
                Figures(unit="s", low=0),
                Query(
                    quantile(0.95, duration, by=("project", "operation")),
                    "{{project}} {{operation}}",
                ),
            ),
        ),
        line(
            8,
            (24,),
            latency_map(
                "Distribution of answers",
                "All requests. Two bands: two kinds of answers, such as refusals at once and"
                " addresses after a while.",
                bucket_increase(duration),
            ),
        ),
    )


def connections() -> Row:
    """Show what opening connections costs."""
    phase = catalog.CONNECTION_DURATION
    return row(
        "Connections",
        line(
            8,
            (8, 8, 8),
            graph(
                "Phases of connecting, 95 %",
                "dns: our resolver; connect: the way there, or a proxy; tls: the far end is busy.",
                Figures(unit="s", low=0),
                Query(quantile(0.95, phase, by=("phase",)), "{{phase}}"),
            ),
            graph(
                "Phases of connecting, mean",
                "Against the 95 % beside it this tells whether all connections are slow, or a few.",
                Figures(unit="s", low=0),
                Query(mean(phase, by=("phase",)), "{{phase}}"),
            ),
            graph(
                "Connections opened",
                "Connections are used again: as many as requests means that the far end, or a"
                " proxy, closes each. Deep probes open one for each console.",
                Figures(unit="cps", low=0),
                Query(total(rate(catalog.CONNECTIONS_OPENED), "project"), "{{project}}"),
            ),
        ),
    )


def login(parameters: Parameters) -> Row:
    """Show how long credentials and certificates last."""
    expiry = select(catalog.AUTH_TOKEN_EXPIRY)
    certificate = select(catalog.CERTIFICATE_EXPIRY)
    return row(
        "Login and certificates",
        line(
            8,
            (8, 7, 9),
            graph(
                "Credentials end in",
                "A sawtooth that never reaches the dashed line is well. Down to it: log-ins"
                " fail, and probes soon are inconclusive.",
                Figures(
                    unit="s",
                    base=words.RED,
                    steps=((parameters.token_left, words.GREEN),),
                    low=0,
                ),
                Query(f"min by (project) ({expiry}) - time()", "{{project}}"),
            ),
            counted(
                "Log-ins",
                "Failures are wrong or expired passwords, a locked account, missing permissions."
                " Five in a row lock the account, so the exporter waits longer and longer.",
                Figures(unit="short", low=0, decimals=0),
                Query(total(increase(catalog.AUTH_REFRESHES), "project"), "{{project}} well"),
                Query(total(increase(catalog.AUTH_FAILURES), "project"), "{{project}} failed"),
            ),
            table_of(
                "Certificates",
                f"The {_SOONEST} that end soonest, of the API's hosts and of the consoles'. After"
                " their end probes fail as tls_error: renew them, or tell who runs the host.",
                [
                    Label(label="host", title="Host"),
                    Label(label="project", title="Project"),
                ],
                [
                    Number(
                        expression=(
                            f"bottomk({_SOONEST}, min by (project, host) ({certificate}) - time())"
                        ),
                        title="Ends in",
                        unit="s",
                        base=words.RED,
                        steps=(
                            (parameters.certificate_critical, words.ORANGE),
                            (parameters.certificate_warning, words.GREEN),
                        ),
                        decimals=1,
                    )
                ],
                Rows(by="Ends in", descending=False, empty="no https host seen"),
            ),
        ),
    )
