"""Alerts about the exporter itself, and about missing or inconclusive probes."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.rule import EXPORTER, INSTANCE, PROJECT, Alert, selected, up


def exporter_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about the exporter process."""
    exporter_up = up(parameters)
    targets = selected(catalog.TARGETS, parameters)
    attempt = selected(catalog.PROBE_LAST_ATTEMPT, parameters)
    resume = selected(catalog.THROTTLE_RESUME, parameters)
    reload = selected(catalog.CONFIG_RELOAD_SUCCESSFUL, parameters)
    stalled = parameters.scheduler_stalled_intervals * parameters.probe_interval
    window = duration(stalled)
    return (
        Alert(
            name="ConsoleExporterDown",
            severity="critical",
            expr=f"max by (job) ({exporter_up}) == 0 or absent({exporter_up})",
            for_seconds=parameters.exporter_down_for,
            summary="Prometheus cannot scrape any exporter of job {{ $labels.job }}",
            description=(
                "Every scrape of job {{ $labels.job }} has failed for"
                f" {duration(parameters.exporter_down_for)}, or the job has no targets. Consoles"
                " are not monitored, and other alerts about consoles are not reliable."
            ),
            dashboard="console-exporter",
            scope=("job",),
        ),
        Alert(
            name="ConsoleSchedulerStalled",
            severity="critical",
            expr=f"""\
(
  time() - max by (job, instance) ({attempt}) > {stalled:g}
  or {EXPORTER}
  # no probe since it started
  ({targets} offset {window} unless {EXPORTER} last_over_time({attempt}[{window}]))
)
and {EXPORTER} {targets} > 0
# unless the cloud asked for a longer pause with status 429
unless {EXPORTER} time() - max by (job, instance) ({resume}) < {stalled:g}""",
            for_seconds=parameters.scheduler_stalled_for,
            summary=f"{{{{ $labels.instance }}}} has started no probe for {window}",
            description=(
                "The exporter {{ $labels.instance }} responds to scrapes and has servers to probe,"
                f" but has started no probe for {window}. Its metrics of consoles are out of date."
            ),
            dashboard="console-exporter",
            scope=INSTANCE,
        ),
        Alert(
            name="ConsoleConfigReloadFailed",
            severity="warning",
            expr=f"{reload} == 0",
            for_seconds=parameters.reload_failed_for,
            summary="{{ $labels.instance }} could not load its new configuration",
            description=(
                "The last configuration reload of the exporter {{ $labels.instance }} failed, and"
                " the previous configuration stays active. After a restart the exporter would not"
                " start with the invalid file."
            ),
            dashboard="console-exporter",
            scope=INSTANCE,
        ),
    )


def probing_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about probes that are skipped, late or inconclusive."""
    skipped = selected(catalog.PROBES, parameters, 'outcome="skipped"')
    queue = selected(catalog.THROTTLE_QUEUE_LENGTH, parameters)
    short, long = duration(parameters.window_5m), duration(parameters.window_15m)
    stale = duration(parameters.stale_intervals * parameters.probe_interval)
    return (
        Alert(
            name="ConsoleProbeBudgetExhausted",
            severity="warning",
            expr=f"""\
sum by (job, project) (increase({skipped}[{short}])) > 0
or
(
  sum by (job, project) (deriv({queue}[{long}])) > 0
  and sum by (job, project) (min_over_time({queue}[{short}])) > 0
)""",
            for_seconds=parameters.budget_exhausted_for,
            summary="Probes of {{ $labels.project }} do not fit into its rate limit",
            description=(
                f"For {duration(parameters.budget_exhausted_for)} probes of project"
                " {{ $labels.project }} were skipped or their queue grew. The interval is too short"
                " for the rate limit, or the limit was lowered after 429 responses. Consoles are"
                " probed less often than configured."
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleProbeStale",
            severity="warning",
            expr=f"{recording.STALE}{{{parameters.selector}}} > 0",
            for_seconds=parameters.stale_for,
            summary=(
                "Servers of {{ $labels.project }} without a conclusive probe for"
                f" {stale}: {{{{ $value }}}}"
            ),
            description=(
                "Servers of project {{ $labels.project }} that are not probed, or whose probes"
                f" have all been inconclusive for {stale}: {{{{ $value }}}}. They keep their last"
                " verdict; whether their consoles work now is unknown."
            ),
            dashboard="console-fleet",
            scope=PROJECT,
        ),
    )
