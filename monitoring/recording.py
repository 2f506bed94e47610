"""Recording rules for queries that dashboards and alerts share.

Names are ``level:metric:operations``. Each rule records a few series per project, except
`UNAVAILABLE`, which records one per unavailable server.
"""

from exporter.metrics import catalog
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.rule import EXPORTER, FAILURE, SERVER, VERDICT, Recording, buckets, selected, up

UNAVAILABLE = "server:console_probe_outcome:unavailable"
STALE = "project:console_servers_stale:count"
SUCCESS_RATIO = "project:console_probe_success:ratio"
SUCCESS_COUNT = "project:console_probe_success:count"
SERVERS = "project:console_servers:count"
VERDICTS = "project:console_probe_verdicts:rate5m"
FAILURES = "project:console_probe_failures:rate5m"
API_REQUESTS = "project:console_api_requests:rate5m"
API_REQUESTS_BY_CODE = "project_code:console_api_requests:rate5m"
API_THROTTLED = "project:console_api_throttled:ratio_rate15m"
API_UNAVAILABLE = "project:console_api_unavailable:ratio_rate5m"

LONG_WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d")
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def failure_ratio(window: str) -> str:
    """Return the name of the rule that records the failure ratio over a window."""
    return f"project:console_probe_failures:ratio_rate{window}"


def api_duration(quantile: str) -> str:
    """Return the name of the rule that records a quantile, such as ``p95``, of API latency."""
    return f"project:console_api_request_duration_seconds:{quantile}_5m"


def recording_rules(parameters: Parameters) -> tuple[Recording, ...]:
    """Return all recording rules, each after the rules that it uses."""
    return (
        *_servers(parameters),
        *_verdicts(parameters),
        *_api(parameters),
        Recording(STALE, _stale(parameters)),
        Recording(UNAVAILABLE, _unavailable(parameters)),
    )


def _servers(parameters: Parameters) -> tuple[Recording, ...]:
    info = selected(catalog.SERVER_INFO, parameters)
    success = selected(catalog.PROBE_SUCCESS, parameters)
    return (
        Recording(SERVERS, f"count by (job, project) ({info})"),
        Recording(SUCCESS_COUNT, f"count by (job, project) ({success})"),
        # `avg` rounds differently: 19 of 20 would be less than 95 %.
        Recording(
            SUCCESS_RATIO,
            f"sum by (job, project) ({success}) / count by (job, project) ({success})",
        ),
    )


def _verdicts(parameters: Parameters) -> tuple[Recording, ...]:
    """Return the rules of the failure ratio; long windows are computed from the 5m rates.

    Sums of recorded rates weight each moment by its number of probes, as the counters do, but read
    two series instead of all counters over days.
    """
    short = duration(parameters.window_5m)
    rules = [
        Recording(name, f"sum by (job, project) (rate({of}[{short}]))")
        for name, of in (
            (VERDICTS, selected(catalog.PROBES, parameters, VERDICT)),
            (FAILURES, selected(catalog.PROBES, parameters, FAILURE)),
        )
    ]
    verdicts, failures = (f"{name}{{{parameters.selector}}}" for name in (VERDICTS, FAILURES))
    rules.append(Recording(failure_ratio("5m"), f"{failures} / ({verdicts} > 0)"))
    for name in LONG_WINDOWS:
        window = duration(parameters.window(name))
        rules.append(
            Recording(
                failure_ratio(name),
                f"sum_over_time({failures}[{window}])\n"
                f"  / (sum_over_time({verdicts}[{window}]) > 0)",
            )
        )
    return tuple(rules)


def _api(parameters: Parameters) -> tuple[Recording, ...]:
    window = duration(parameters.window_5m)
    requests = selected(catalog.API_REQUESTS, parameters)
    failed = selected(catalog.API_REQUESTS, parameters, 'code=~"5..|none"')
    throttled = selected(catalog.API_REQUESTS, parameters, 'code="429"')
    bucket = buckets(catalog.API_REQUEST_DURATION, parameters)
    return (
        Recording(API_REQUESTS, f"sum by (job, project) (rate({requests}[{window}]))"),
        Recording(
            API_REQUESTS_BY_CODE, f"sum by (job, project, code) (rate({requests}[{window}]))"
        ),
        Recording(API_UNAVAILABLE, _share(failed, requests, window)),
        Recording(API_THROTTLED, _share(throttled, requests, duration(parameters.window_15m))),
        *(
            Recording(
                api_duration(name),
                f"histogram_quantile({quantile},"
                f" sum by (job, project, le) (rate({bucket}[{window}])))",
            )
            for name, quantile in _QUANTILES.items()
        ),
    )


def _share(part: str, whole: str, window: str) -> str:
    return (
        f"sum by (job, project) (rate({part}[{window}]))\n"
        f"  / (sum by (job, project) (rate({whole}[{window}])) > 0)"
    )


def _stale(parameters: Parameters) -> str:
    """Return the number of servers of a project without a conclusive probe for some intervals.

    No metric exposes the interval of a server, and it may be longer than the one that the rules
    assume. The age of the last verdict alone is therefore not enough: either the server was probed
    inconclusively since, or its exporter reports overdue servers. After a restart the verdicts
    from before still count.
    """
    stale = parameters.stale_intervals * parameters.probe_interval
    window = duration(stale)
    info = selected(catalog.SERVER_INFO, parameters)
    attempt = selected(catalog.PROBE_LAST_ATTEMPT, parameters)
    verdict = selected(catalog.PROBE_LAST_VERDICT, parameters)
    overdue = f"and {EXPORTER} {selected(catalog.SCHEDULER_OVERDUE, parameters)} > 0"
    return f"""\
count by (job, project) (
  # probed, but inconclusively
  ({attempt} - {verdict} > {stale:g})
  or {SERVER}
  # probed for the whole window, never conclusively
  ({attempt} offset {window}
    and {SERVER} {attempt}
    unless {SERVER} last_over_time({verdict}[{window}]))
  or {SERVER}
  # no longer probed
  (time() - {attempt} > {stale:g}
    {overdue})
  or {SERVER}
  # never probed
  ({info} offset {window}
    and {SERVER} {info}
    unless {SERVER} last_over_time({attempt}[{window}])
    {overdue})
)"""


def _unavailable(parameters: Parameters) -> str:
    """Return the servers that failed several times in a row, until a probe succeeds.

    The rule refers to its own previous result. The labels are those of the failure that reached
    the limit and stay, so that one outage is one alert. Inconclusive probes, other failures, missed
    scrapes and restarts of the exporter (which reset the failure count) do not end it; only a
    success or the removal of the server does.
    """
    before = f'{UNAVAILABLE}{{{parameters.selector}, outcome!="unknown"}}'
    info = selected(catalog.SERVER_INFO, parameters)
    outcome = selected(catalog.PROBE_OUTCOME, parameters, FAILURE)
    failures = selected(catalog.PROBE_CONSECUTIVE_FAILURES, parameters)
    enough = f"{failures} >= {parameters.unavailable_failures}"
    return f"""\
(
  (
    {before}
      and {SERVER} {info}
    or
    {before}
      and {EXPORTER} {up(parameters)} == 0
  )
  unless {SERVER} {selected(catalog.PROBE_SUCCESS, parameters)} == 1
)
or {SERVER}
(
  (
    ({enough}) * {SERVER} group_left (outcome, stage) {outcome}
    or {SERVER}
    label_replace({enough}, "outcome", "unknown", "", "")
  )
  * {SERVER} group_left (region) {info}
)"""
