"""Alerts about what the cloud does for a project: its API, its logins, its certificates."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.rule import PROJECT, VERDICT, Alert, selected


def api_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about a project's API."""
    of_job = parameters.selector
    slow = parameters.api_slow_seconds
    return (
        Alert(
            name="ConsoleApiUnavailable",
            severity="critical",
            expr=f"{recording.API_UNAVAILABLE}{{{of_job}}} > {parameters.api_unavailable_ratio:g}",
            wait=parameters.api_unavailable_for,
            summary="The cloud's API does not work for {{ $labels.project }}",
            description=(
                "{{ $value | humanizePercentage }} of the requests of project"
                " {{ $labels.project }} are answered with a 5xx or not at all. Consoles can neither"
                " be opened nor judged until the API answers."
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleApiThrottled",
            severity="warning",
            expr=f"{recording.API_THROTTLED}{{{of_job}}} > {parameters.api_throttled_ratio:g}",
            wait=parameters.api_throttled_for,
            summary="The cloud refuses requests of {{ $labels.project }} as too many",
            description=(
                "{{ $value | humanizePercentage }} of the requests of project"
                " {{ $labels.project }} were answered 429. The quota is shared: people who work"
                " with this project are likely refused too."
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleApiSlow",
            severity="warning",
            expr=f"{recording.api_duration('p95')}{{{of_job}}} > {slow:g}",
            wait=parameters.api_slow_for,
            summary="The cloud's API is slow for {{ $labels.project }}",
            description=(
                "One request in twenty of project {{ $labels.project }} takes longer than"
                " {{ $value | humanizeDuration }}. Probes soon end as timeouts, and consoles turn"
                " red."
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
    )


def login_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about a project's credentials."""
    short, long = duration(parameters.window_5m), duration(parameters.window_15m)
    patience = duration(parameters.stale_intervals * parameters.probe_interval)
    verdicts = selected(catalog.PROBES, parameters, VERDICT)
    failures = selected(catalog.AUTH_FAILURES, parameters)
    refreshes = selected(catalog.AUTH_REFRESHES, parameters)
    refused = selected(catalog.PROBES, parameters, 'outcome=~"unauthorized|forbidden"')
    attempted = selected(catalog.PROBES, parameters, 'outcome!="skipped"')
    expiry = selected(catalog.AUTH_TOKEN_EXPIRY, parameters)
    return (
        Alert(
            name="ConsoleAuthFailing",
            severity="critical",
            expr=f"""\
(
  sum by (job, project) (increase({failures}[{long}])) >= {parameters.auth_failures}
  # a log-in that worked again after a short outage is no reason to wake anybody
  unless sum by (job, project) (increase({refreshes}[{long}])) > 0
)
or
(
  sum by (job, project) (increase({refused}[{patience}])) > 0
  and sum by (job, project) (increase({verdicts}[{patience}])) == 0
)""",
            wait=parameters.auth_failing_for,
            keep=parameters.auth_failing_keep,
            summary="The cloud does not let the exporter in for {{ $labels.project }}",
            description=(
                "Log-ins of project {{ $labels.project }} fail, or every probe is answered 401 or"
                " 403. Its consoles are not judged: they stay as green or red as they were. After"
                " five refused log-ins the cloud locks the account."
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleTokenNotRefreshed",
            severity="warning",
            expr=f"""\
{expiry} - time() < {parameters.token_left:g}
# who asks nothing needs no token
and on (job, instance, project)
  sum by (job, instance, project) (increase({attempted}[{short}])) > 0""",
            wait=parameters.token_for,
            summary="The credentials of {{ $labels.project }} are about to end",
            description=(
                "The credentials of project {{ $labels.project }} end in"
                " {{ $value | humanizeDuration }} (negative: they have ended) and"
                " {{ $labels.instance }} has not had new ones. Without them every probe is"
                " inconclusive."
            ),
            dashboard="console-api",
            scope=("job", "instance", "project"),
        ),
    )


def certificate_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about the certificates of a project's hosts."""
    left = f"min by (job, project, host) ({selected(catalog.CERTIFICATE_EXPIRY, parameters)})"
    soon, late = parameters.certificate_warning, parameters.certificate_critical
    return tuple(
        Alert(
            name="ConsoleCertificateExpiring",
            severity=severity,
            expr=expr,
            summary="The certificate of {{ $labels.host }} ends in {{ $value | humanizeDuration }}",
            description=(
                "The TLS certificate that {{ $labels.host }} (project {{ $labels.project }}) showed"
                " last ends in {{ $value | humanizeDuration }} (negative: it has ended). From then"
                " on probes fail with tls_error, and people's browsers refuse the console."
            ),
            dashboard="console-api",
            scope=PROJECT,
        )
        for severity, expr in (
            ("warning", f"{left} - time() < {soon:.0f}\nand {left} - time() >= {late:.0f}"),
            ("critical", f"{left} - time() < {late:.0f}"),
        )
    )
