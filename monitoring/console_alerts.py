"""Alerts about consoles: one server, many servers, missing servers, the error budget."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.durations import duration, in_words
from monitoring.parameters import BurnRate, Parameters
from monitoring.rule import INSTANCE, PROJECT, Alert, selected


def console_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about the current state of consoles and server lists."""
    of_job = parameters.selector
    discovered = selected(catalog.DISCOVERY_SERVERS, parameters)
    window, step = duration(parameters.inventory_window), duration(parameters.rule_interval)
    by = "sum by (job, instance, project)"
    success = selected(catalog.DISCOVERY_LAST_SUCCESS, parameters)
    stale = duration(parameters.discovery_stale)
    return (
        Alert(
            name="ConsoleUnavailable",
            severity="warning",
            expr=f"{recording.UNAVAILABLE}{{{of_job}}}",
            summary=(
                "The console of {{ $labels.server }} ({{ $labels.project }}) cannot be opened:"
                " {{ $labels.outcome }}{{ with $labels.stage }} at {{ . }}{{ end }}"
            ),
            description=(
                "The remote console of {{ $labels.server }} (id {{ $labels.server_id }}, project"
                " {{ $labels.project }}, region {{ $labels.region }}) failed"
                " {{ $value }} probes in a row and has not succeeded since. Outcome and stage are"
                " those at the start of this alert; the dashboard shows the current ones."
            ),
            dashboard="console-server",
            scope=(*PROJECT, "server", "server_id"),
        ),
        Alert(
            name="ConsoleFleetDegraded",
            severity="critical",
            expr=(
                f"{recording.SUCCESS_RATIO}{{{of_job}}} < {parameters.fleet_success_ratio:g}\n"
                f"and {recording.SUCCESS_COUNT}{{{of_job}}} >= {parameters.fleet_least_servers}"
            ),
            for_seconds=parameters.fleet_degraded_for,
            summary=(
                "Only {{ $value | humanizePercentage }} of the consoles of {{ $labels.project }}"
                f" can be opened (expected: {100 * parameters.fleet_success_ratio:.4g}%)"
            ),
            description=(
                "{{ $value | humanizePercentage }} of the consoles of project {{ $labels.project }}"
                " could be opened in their last conclusive probe. The share has been below"
                f" {parameters.fleet_success_ratio:.0%}"
                f" for {duration(parameters.fleet_degraded_for)}."
                " Many failures at the same time usually have one cause."
            ),
            dashboard="console-fleet",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleInventoryShrunk",
            severity="warning",
            expr=(
                f"{by} ({discovered})\n"
                # The maximum of the sum, because servers may move from one source to another.
                f"  / max_over_time(({by} ({discovered}))[{window}:{step}])\n"
                f"  < {parameters.inventory_ratio:g}"
            ),
            for_seconds=parameters.inventory_for,
            summary=(
                "Only {{ $value | humanizePercentage }} of the servers of {{ $labels.project }} are"
                " still listed"
            ),
            description=(
                "Project {{ $labels.project }} has {{ $value | humanizePercentage }} of the servers"
                f" that it had in the last {in_words(parameters.inventory_window)}. The missing"
                " servers are not probed and raise no alerts. If they were not removed on purpose,"
                " a server list is wrong."
            ),
            dashboard="console-fleet",
            scope=("job", "instance", "project"),
        ),
        Alert(
            name="ConsoleDiscoveryStale",
            severity="warning",
            expr=f"time() - {success} > {parameters.discovery_stale:g}",
            for_seconds=parameters.discovery_stale_for,
            summary=(
                "The {{ $labels.source }} server list of {{ $labels.project }} is older than"
                f" {in_words(parameters.discovery_stale, 'one')}"
            ),
            description=(
                "The exporter {{ $labels.instance }} could not read the {{ $labels.source }} server"
                f" list of project {{{{ $labels.project }}}} for {stale}, or never since it"
                " started. It probes the servers of the last valid list; new servers are not"
                " monitored."
            ),
            dashboard="console-exporter",
            scope=INSTANCE,
        ),
    )


def budget_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the burn rate alerts of the error budget, one for each pair of windows."""
    return tuple(_burn(parameters, rate) for rate in parameters.burn_rates)


def _burn(parameters: Parameters, rate: BurnRate) -> Alert:
    of_job = parameters.selector
    limit = rate.factor * parameters.error_budget
    long, short = (recording.failure_ratio(name) for name in (rate.long, rate.short))
    window = duration(parameters.window(rate.long))
    verdicts = f"{recording.VERDICTS}{{{of_job}}}"
    period = in_words(parameters.window(rate.long))
    return Alert(
        name="ConsoleErrorBudgetBurn",
        severity=rate.severity,
        labels=(("long_window", rate.long), ("short_window", rate.short)),
        expr=(
            f"{long}{{{of_job}}} > {limit:g}\n"
            f"and {short}{{{of_job}}} > {limit:g}\n"
            "# enough verdicts for a meaningful ratio\n"
            f"and sum_over_time({verdicts}[{window}]) * {parameters.rule_interval:g}"
            f" >= {parameters.burn_least_verdicts}"
        ),
        summary=(
            "{{ $value | humanizePercentage }} of probes of {{ $labels.project }} failed in the"
            f" last {period} (allowed: {100 * parameters.error_budget:.4g}%)"
        ),
        description=(
            "{{ $value | humanizePercentage }} of the conclusive probes of project"
            f" {{{{ $labels.project }}}} failed in the last {period}. The objective allows"
            f" {100 * parameters.error_budget:.4g}%; this alert fires above"
            f" {100 * limit:.4g}%. Inconclusive probes do not count."
        ),
        dashboard="console-slo",
        scope=PROJECT,
    )
