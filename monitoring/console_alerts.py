"""Alerts about consoles: one, most of a project's, those that are no longer watched, the budget."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.durations import duration
from monitoring.parameters import BurnRate, Parameters
from monitoring.rule import INSTANCE, PROJECT, Alert, selected


def console_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about consoles as they are now."""
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
                " {{ $value }} times in a row and has not succeeded since. Outcome and"
                " stage are those at the start of this alert; the dashboard shows the latest."
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
            wait=parameters.fleet_degraded_for,
            summary=(
                "Only {{ $value | humanizePercentage }} of the consoles of {{ $labels.project }}"
                " can be opened"
            ),
            description=(
                "{{ $value | humanizePercentage }} of the consoles of project {{ $labels.project }}"
                f" could be opened when last seen, less than {parameters.fleet_success_ratio:.0%}"
                f" for {duration(parameters.fleet_degraded_for)}. So many at once have one cause."
            ),
            dashboard="console-fleet",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleInventoryShrunk",
            severity="warning",
            expr=(
                f"{by} ({discovered})\n"
                # Of the sum: a server may go over from one list to another.
                f"  / max_over_time(({by} ({discovered}))[{window}:{step}])\n"
                f"  < {parameters.inventory_ratio:g}"
            ),
            wait=parameters.inventory_for,
            summary="Servers of {{ $labels.project }} are no longer watched",
            description=(
                "Project {{ $labels.project }} has {{ $value | humanizePercentage }} of the servers"
                f" that it had within the last {window}. The others are not probed any more and"
                " raise no alert. If they were not taken out on purpose, the list is broken."
            ),
            dashboard="console-fleet",
            scope=("job", "instance", "project"),
        ),
        Alert(
            name="ConsoleDiscoveryStale",
            severity="warning",
            expr=f"time() - {success} > {parameters.discovery_stale:g}",
            wait=parameters.discovery_stale_for,
            summary="New servers of {{ $labels.project }} are not noticed",
            description=(
                "The exporter {{ $labels.instance }} could not read the {{ $labels.source }} list"
                f" of the servers of project {{{{ $labels.project }}}} for {stale}, or never since"
                " it was started. It probes the servers of the last good list; a new server is"
                " not watched."
            ),
            dashboard="console-exporter",
            scope=INSTANCE,
        ),
    )


def budget_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about the error budget, one for each pair of windows."""
    return tuple(_burn(parameters, rate) for rate in parameters.burn_rates)


def _burn(parameters: Parameters, rate: BurnRate) -> Alert:
    of_job = parameters.selector
    limit = rate.factor * parameters.error_budget
    long, short = (recording.failure_ratio(name) for name in (rate.long, rate.short))
    window = duration(parameters.window(rate.long))
    verdicts = f"{recording.VERDICTS}{{{of_job}}}"
    return Alert(
        name="ConsoleErrorBudgetBurn",
        severity=rate.severity,
        labels=(("long_window", rate.long), ("short_window", rate.short)),
        expr=(
            f"{long}{{{of_job}}} > {limit:g}\n"
            f"and {short}{{{of_job}}} > {limit:g}\n"
            "# enough verdicts to tell\n"
            f"and sum_over_time({verdicts}[{window}]) * {parameters.rule_interval:g}"
            f" >= {parameters.burn_least_verdicts}"
        ),
        summary=(
            "Consoles of {{ $labels.project }} fail more than"
            f" {rate.factor:g} times as often as the objective allows"
        ),
        description=(
            "{{ $value | humanizePercentage }} of the verdicts on consoles of project"
            f" {{{{ $labels.project }}}} in the last {window} were failures; the objective"
            f" allows {100 * parameters.error_budget:.4g} %. Probes without a verdict do not count."
        ),
        dashboard="console-slo",
        scope=PROJECT,
    )
