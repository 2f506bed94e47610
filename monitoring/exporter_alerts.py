"""Alerts about the exporter itself, and about what it does not get to probe."""

from exporter.metrics import catalog
from monitoring import recording
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.rule import EXPORTER, INSTANCE, PROJECT, Alert, selected, up


def exporter_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about the exporter as such."""
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
            wait=parameters.exporter_down_for,
            summary="No Console Exporter of the job {{ $labels.job }} answers",
            description=(
                "Prometheus has reached no exporter of the job {{ $labels.job }} for"
                f" {duration(parameters.exporter_down_for)}, or knows of none. No console is being"
                " watched, and no other alert about consoles can be trusted."
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
  # never probed since it was started
  ({targets} offset {window} unless {EXPORTER} last_over_time({attempt}[{window}]))
)
and {EXPORTER} {targets} > 0
# the cloud may have told us to wait longer than that
unless {EXPORTER} time() - max by (job, instance) ({resume}) < {stalled:g}""",
            wait=parameters.scheduler_stalled_for,
            summary="{{ $labels.instance }} answers, but probes nothing",
            description=(
                "The exporter {{ $labels.instance }} has servers to probe and has started no probe"
                f" for {window}. What it shows of consoles is old."
            ),
            dashboard="console-exporter",
            scope=INSTANCE,
        ),
        Alert(
            name="ConsoleConfigReloadFailed",
            severity="warning",
            expr=f"{reload} == 0",
            wait=parameters.reload_failed_for,
            summary="{{ $labels.instance }} runs with an old configuration",
            description=(
                "The last configuration that the exporter {{ $labels.instance }} was to load was"
                " refused; it goes on with the one before. It will not start again with a file"
                " that it refuses."
            ),
            dashboard="console-exporter",
            scope=INSTANCE,
        ),
    )


def probing_alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return the alerts about probes that are not made, or prove nothing."""
    skipped = selected(catalog.PROBES, parameters, 'outcome="skipped"')
    queue = selected(catalog.THROTTLE_QUEUE_LENGTH, parameters)
    short, long = duration(parameters.window_5m), duration(parameters.window_15m)
    patience = duration(parameters.stale_intervals * parameters.probe_interval)
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
            wait=parameters.budget_exhausted_for,
            summary="{{ $labels.project }} has more probes to make than its rate limit allows",
            description=(
                "Probes of project {{ $labels.project }} are skipped, or their queue grows, for"
                f" {duration(parameters.budget_exhausted_for)}. The interval is too short for the"
                " rate limit or for what the cloud lets through. Consoles are checked more rarely"
                " than configured."
            ),
            dashboard="console-api",
            scope=PROJECT,
        ),
        Alert(
            name="ConsoleProbeStale",
            severity="warning",
            expr=f"{recording.STALE}{{{parameters.selector}}} > 0",
            wait=parameters.stale_for,
            summary=(
                "Servers of {{ $labels.project }} without a verdict for"
                f" {patience}: {{{{ $value }}}}"
            ),
            description=(
                "Of {{ $value }} servers of project {{ $labels.project }} it has not"
                f" been known for {patience} whether their consoles work: they are not probed, or"
                " all probes are inconclusive. They stay as green or red as they were."
            ),
            dashboard="console-fleet",
            scope=PROJECT,
        ),
    )
