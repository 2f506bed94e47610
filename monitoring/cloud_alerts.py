"""Alerts about the cloud services of a project: API, login, certificates."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.durations import duration, in_words
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
            # The first operand wins where both match: its value 0 selects the text.
            expr=(
                f"max by (job, project) ({selected(catalog.API_REACHABLE, parameters)}) == 0\n"
                f"or {recording.API_UNAVAILABLE}{{{of_job}}} > {parameters.api_unavailable_ratio:g}"
            ),
            for_seconds=parameters.api_unavailable_for,
            summary=(
                "{{ if $value }}{{ $value | humanizePercentage }} of the API requests of"
                " {{ $labels.project }} fail"
                f" (alert above {100 * parameters.api_unavailable_ratio:.4g}%)"
                "{{ else }}The API of {{ $labels.project }} does not answer{{ end }}"
            ),
            description=(
                "{{ if $value }}{{ $value | humanizePercentage }} of the requests of project"
                " {{ $labels.project }} got a 5xx status or no response in the last"
                f" {in_words(parameters.window_5m)}. The API still answers, if only with errors."
                " Likely side: the cloud. Consoles cannot be opened until the API works again."
                "{{ else }}No request of project {{ $labels.project }} gets an answer of the API:"
                " no response at all, or that of a proxy or another web server. Likely side: the"
                " exporter's machine, its network, DNS, proxy or clock, or the project's endpoint."
                " If the API cannot be reached from elsewhere either: the cloud. Its consoles keep"
                " their last verdict.{{ end }}"
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleApiThrottled",
            severity="warning",
            expr=f"{recording.API_THROTTLED}{{{of_job}}} > {parameters.api_throttled_ratio:g}",
            for_seconds=parameters.api_throttled_for,
            summary=(
                "{{ $value | humanizePercentage }} of the API requests of {{ $labels.project }}"
                f" get status 429 (allowed: {100 * parameters.api_throttled_ratio:.4g}%)"
            ),
            description=(
                "{{ $value | humanizePercentage }} of the requests of project"
                " {{ $labels.project }} got status 429 in the last"
                f" {in_words(parameters.window_15m)}. The quota is shared: people who use this"
                " project probably get 429, too."
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleApiSlow",
            severity="warning",
            expr=f"{recording.api_duration('p95')}{{{of_job}}} > {slow:g}",
            for_seconds=parameters.api_slow_for,
            summary=(
                "5% of the API requests of {{ $labels.project }} take longer than"
                f" {{{{ $value | humanizeDuration }}}} (allowed: {duration(slow)})"
            ),
            description=(
                "The 95th percentile latency of the API requests of project {{ $labels.project }}"
                " is {{ $value | humanizeDuration }}. If it reaches the configured timeout, probes"
                " fail with outcome timeout."
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
    )


def login_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about a project's credentials."""
    short, long = duration(parameters.window_5m), duration(parameters.window_15m)
    stale = duration(parameters.stale_intervals * parameters.probe_interval)
    verdicts = selected(catalog.PROBES, parameters, VERDICT)
    failures = selected(catalog.AUTH_FAILURES, parameters)
    refreshes = selected(catalog.AUTH_REFRESHES, parameters)
    rejected = selected(catalog.PROBES, parameters, 'outcome=~"unauthorized|forbidden"')
    attempted = selected(catalog.PROBES, parameters, 'outcome!="skipped"')
    expiry = selected(catalog.AUTH_TOKEN_EXPIRY, parameters)
    return (
        Alert(
            name="ConsoleAuthFailing",
            severity="critical",
            expr=f"""\
(
  sum by (job, project) (increase({failures}[{long}])) >= {parameters.auth_failures}
  # a login that works again after a short outage is not an alert
  unless sum by (job, project) (increase({refreshes}[{long}])) > 0
)
or
(
  sum by (job, project) (increase({rejected}[{stale}])) > 0
  and sum by (job, project) (increase({verdicts}[{stale}])) == 0
)""",
            for_seconds=parameters.auth_failing_for,
            keep_firing_seconds=parameters.auth_failing_keep,
            summary="The exporter cannot log in to the cloud for project {{ $labels.project }}",
            description=(
                "Logins of project {{ $labels.project }} fail, or every probe gets status 401 or"
                " 403. Its consoles keep their last verdict, however old. After five rejected"
                " logins the cloud locks the account."
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleTokenNotRefreshed",
            severity="warning",
            expr=f"""\
{expiry} - time() < {parameters.token_left:g}
# without probes no token is needed
and on (job, instance, project)
  sum by (job, instance, project) (increase({attempted}[{short}])) > 0""",
            for_seconds=parameters.token_for,
            summary=(
                "The credentials of {{ $labels.project }} expire in {{ $value | humanizeDuration }}"
            ),
            description=(
                "The credentials of project {{ $labels.project }} expire in"
                " {{ $value | humanizeDuration }} (negative: they have expired), and"
                " {{ $labels.instance }} has not refreshed them. Without valid credentials every"
                " probe is inconclusive."
            ),
            dashboard="console-api",
            scope=("job", "instance", "project"),
        ),
    )


def certificate_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about the certificates of a project's hosts."""
    left = f"min by (job, project, host) ({selected(catalog.CERTIFICATE_EXPIRY, parameters)})"
    warning, critical = parameters.certificate_warning, parameters.certificate_critical
    return tuple(
        Alert(
            name="ConsoleCertificateExpiring",
            severity=severity,
            expr=expr,
            summary=(
                "The certificate of {{ $labels.host }} expires in {{ $value | humanizeDuration }}"
            ),
            description=(
                "The TLS certificate of {{ $labels.host }} (project {{ $labels.project }}) expires"
                " in {{ $value | humanizeDuration }} (negative: it has expired). Then probes fail"
                " with tls_error, and browsers do not open the console."
            ),
            dashboard="console-api",
            scope=PROJECT,
        )
        for severity, expr in (
            ("warning", f"{left} - time() < {warning:.0f}\nand {left} - time() >= {critical:.0f}"),
            ("critical", f"{left} - time() < {critical:.0f}"),
        )
    )
