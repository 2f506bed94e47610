"""Every metric that the exporter itself defines, named once.

Exposition, documentation, dashboards and rules read this list. ``process_*`` and ``python_*``
are prometheus-client's own and stand in no catalog of ours.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Kind(StrEnum):
    """How a metric's value moves; the words are those of the exposition formats."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@unique
class Scope(StrEnum):
    """What a metric has one set of series for."""

    SERVER = "server"
    PROJECT = "project"
    EXPORTER = "exporter"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    ``labels`` are all its labels, those of its scope first. ``buckets`` are a histogram's upper
    bounds without ``+Inf``, in seconds. ``help`` is one line without quotes or backslashes.
    """

    name: str
    kind: Kind
    help: str
    scope: Scope
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


OPERATIONS = ("remote_console", "list_servers", "create_token")
CONNECTION_PHASES = ("dns", "connect", "tls")
DISCOVERY_SOURCES = ("static", "file", "cloud")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

_API_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LOCAL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LATENESS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def _per_server(name: str, kind: Kind, text: str, *labels: str) -> Metric:
    return Metric(name, kind, text, Scope.SERVER, ("project", "server_id", "server", *labels))


def _per_project(
    name: str, kind: Kind, text: str, *labels: str, buckets: tuple[float, ...] = ()
) -> Metric:
    return Metric(name, kind, text, Scope.PROJECT, ("project", *labels), buckets)


def _of_exporter(
    name: str, kind: Kind, text: str, *labels: str, buckets: tuple[float, ...] = ()
) -> Metric:
    return Metric(name, kind, text, Scope.EXPORTER, labels, buckets)


# Per server, in the order of exposition. `console_server_info` also carries the labels that the
# operator gave the server, and of a server that the cloud listed its power and health.
SERVER_INFO = _per_server(
    "console_server_info",
    Kind.GAUGE,
    "Attributes of a server, for joins; always 1.",
    "region",
    "depth",
)
PROBE_SUCCESS = _per_server(
    "console_probe_success",
    Kind.GAUGE,
    "Whether the last conclusive probe reached the console; absent before the first.",
)
PROBE_OUTCOME = _per_server(
    "console_probe_outcome",
    Kind.GAUGE,
    "How the last probe ended and at which stage; always 1, the current outcome only.",
    "outcome",
    "stage",
)
PROBE_DURATION = _per_server(
    "console_probe_duration_seconds",
    Kind.GAUGE,
    "Duration of the last probe, without the wait for its turn; absent when no stage ran.",
)
PROBE_STAGE_DURATION = _per_server(
    "console_probe_stage_duration_seconds",
    Kind.GAUGE,
    "Duration of each stage that ran in the last probe.",
    "stage",
)
PROBE_STATUS_CODE = _per_server(
    "console_probe_http_status_code",
    Kind.GAUGE,
    "HTTP status of the API in the last probe; 0 when there was no answer.",
)
PROBE_CONSECUTIVE_FAILURES = _per_server(
    "console_probe_consecutive_failures",
    Kind.GAUGE,
    "Failure verdicts in a row; inconclusive probes do not count.",
)
PROBE_LAST_ATTEMPT = _per_server(
    "console_probe_last_attempt_timestamp_seconds",
    Kind.GAUGE,
    "Start of the last probe, in Unix time.",
)
PROBE_LAST_VERDICT = _per_server(
    "console_probe_last_verdict_timestamp_seconds",
    Kind.GAUGE,
    "Start of the last conclusive probe, in Unix time.",
)
PROBE_LAST_SUCCESS = _per_server(
    "console_probe_last_success_timestamp_seconds",
    Kind.GAUGE,
    "Start of the last successful probe, in Unix time.",
)
PROBE_VERDICTS = _per_server(
    "console_probe_verdicts_total", Kind.COUNTER, "Conclusive probes: successes and failures."
)
PROBE_FAILURES = _per_server(
    "console_probe_failures_total", Kind.COUNTER, "Conclusive probes that failed."
)
PROBE_THROTTLED = _per_server(
    "console_probe_throttled_total", Kind.COUNTER, "Probes that the cloud answered with 429."
)

PER_SERVER = (
    SERVER_INFO,
    PROBE_SUCCESS,
    PROBE_OUTCOME,
    PROBE_DURATION,
    PROBE_STAGE_DURATION,
    PROBE_STATUS_CODE,
    PROBE_CONSECUTIVE_FAILURES,
    PROBE_LAST_ATTEMPT,
    PROBE_LAST_VERDICT,
    PROBE_LAST_SUCCESS,
    PROBE_VERDICTS,
    PROBE_FAILURES,
    PROBE_THROTTLED,
)

PROBES = _per_project(
    "console_probes_total", Kind.COUNTER, "Probes by outcome, skipped ones included.", "outcome"
)
API_REQUESTS = _per_project(
    "console_api_requests_total",
    Kind.COUNTER,
    "Requests to the cloud by HTTP status; none when there was no answer, other past 50 statuses.",
    "operation",
    "code",
)
API_REQUEST_DURATION = _per_project(
    "console_api_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time from sending a request to the end of its answer, without the wait for its turn.",
    "operation",
    buckets=_API_SECONDS,
)
API_ERRORS = _per_project(
    "console_api_errors_total",
    Kind.COUNTER,
    "Error answers by the error code of the cloud; other after the first 50 codes.",
    "operation",
    "error_code",
)
API_IN_FLIGHT = _per_project(
    "console_api_requests_in_flight", Kind.GAUGE, "Requests that wait for their answer now."
)
CONNECTION_DURATION = _per_project(
    "console_http_connection_duration_seconds",
    Kind.HISTOGRAM,
    "Time that each phase of opening a connection took.",
    "phase",
    buckets=_LOCAL_SECONDS,
)
CONNECTIONS_OPENED = _per_project(
    "console_http_connections_opened_total", Kind.COUNTER, "Connections opened."
)
CERTIFICATE_EXPIRY = _per_project(
    "console_tls_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    "End of validity of the certificate that a host showed last, in Unix time.",
    "host",
)
THROTTLE_LIMIT = _per_project(
    "console_throttle_limit_requests_per_second", Kind.GAUGE, "The pace of requests now."
)
THROTTLE_CEILING = _per_project(
    "console_throttle_ceiling_requests_per_second",
    Kind.GAUGE,
    "The configured ceiling of the pace of requests.",
)
THROTTLE_WAIT = _per_project(
    "console_throttle_wait_seconds_total",
    Kind.COUNTER,
    "Time that probes waited for their turn.",
)
THROTTLE_QUEUE_LENGTH = _per_project(
    "console_throttle_queue_length", Kind.GAUGE, "Requests that wait for their turn now."
)
THROTTLE_RESPONSES = _per_project(
    "console_throttle_responses_total", Kind.COUNTER, "Answers with status 429, any operation."
)
THROTTLE_RESUME = _per_project(
    "console_throttle_resume_timestamp_seconds",
    Kind.GAUGE,
    "End of the current or last cool-down after a 429, in Unix time; 0 if there was none.",
)
AUTH_TOKEN_EXPIRY = _per_project(
    "console_auth_token_expiry_timestamp_seconds",
    Kind.GAUGE,
    "End of validity of the current credentials, in Unix time; absent where not known.",
)
AUTH_REFRESHES = _per_project(
    "console_auth_refreshes_total", Kind.COUNTER, "Times that new credentials were had."
)
AUTH_FAILURES = _per_project(
    "console_auth_failures_total",
    Kind.COUNTER,
    "Times that new credentials could not be had or were refused.",
)
DISCOVERY_SERVERS = _per_project(
    "console_discovery_servers",
    Kind.GAUGE,
    "Servers that a source yields; one that several list counts for the first of them.",
    "source",
)
DISCOVERY_REFRESHES = _per_project(
    "console_discovery_refreshes_total",
    Kind.COUNTER,
    "Times that a source was read again; absent for static.",
    "source",
)
DISCOVERY_FAILURES = _per_project(
    "console_discovery_failures_total",
    Kind.COUNTER,
    "Times that a source could not be read and the last good servers stayed.",
    "source",
)
DISCOVERY_LAST_SUCCESS = _per_project(
    "console_discovery_last_success_timestamp_seconds",
    Kind.GAUGE,
    "When the servers of a source were last known to be current, in Unix time; 0 if never yet.",
    "source",
)

PER_PROJECT = (
    PROBES,
    API_REQUESTS,
    API_REQUEST_DURATION,
    API_ERRORS,
    API_IN_FLIGHT,
    CONNECTION_DURATION,
    CONNECTIONS_OPENED,
    CERTIFICATE_EXPIRY,
    THROTTLE_LIMIT,
    THROTTLE_CEILING,
    THROTTLE_WAIT,
    THROTTLE_QUEUE_LENGTH,
    THROTTLE_RESPONSES,
    THROTTLE_RESUME,
    AUTH_TOKEN_EXPIRY,
    AUTH_REFRESHES,
    AUTH_FAILURES,
    DISCOVERY_SERVERS,
    DISCOVERY_REFRESHES,
    DISCOVERY_FAILURES,
    DISCOVERY_LAST_SUCCESS,
)

BUILD_INFO = _of_exporter(
    "console_exporter_build_info",
    Kind.GAUGE,
    "Version of the exporter and of Python; always 1.",
    "version",
    "python_version",
)
SHARD_INFO = _of_exporter(
    "console_exporter_shard_info",
    Kind.GAUGE,
    "Which part of the servers this exporter probes, of how many parts; always 1.",
    "index",
    "count",
)
CONFIG_RELOAD_SUCCESSFUL = _of_exporter(
    "console_exporter_config_last_reload_successful",
    Kind.GAUGE,
    "Whether the last attempt to load the configuration succeeded.",
)
CONFIG_RELOAD_SUCCESS_TIME = _of_exporter(
    "console_exporter_config_last_reload_success_timestamp_seconds",
    Kind.GAUGE,
    "When the configuration was last loaded, in Unix time.",
)
CONFIG_HASH = _of_exporter(
    "console_exporter_config_hash",
    Kind.GAUGE,
    "The low 48 bits of the SHA-256 of the running configuration.",
)
TARGETS = _of_exporter("console_exporter_targets", Kind.GAUGE, "Servers that are probed.")
SCHEDULER_LATENESS = _of_exporter(
    "console_scheduler_lateness_seconds",
    Kind.HISTOGRAM,
    "Start of a probe minus the time it was due.",
    buckets=_LATENESS_SECONDS,
)
SCHEDULER_MISSED = _of_exporter(
    "console_scheduler_missed_probes_total",
    Kind.COUNTER,
    "Slots that came while the previous probe ran, or whose turn did not come in time.",
)
SCHEDULER_OVERDUE = _of_exporter(
    "console_scheduler_overdue_servers",
    Kind.GAUGE,
    "Servers that were not attempted for two intervals.",
)
EVENT_LOOP_LAG = _of_exporter(
    "console_exporter_event_loop_lag_seconds",
    Kind.GAUGE,
    "The longest that the event loop was late in the last minute.",
)
SCRAPE_DURATION = _of_exporter(
    "console_exporter_scrape_duration_seconds",
    Kind.HISTOGRAM,
    "Time to answer a scrape of this exporter.",
    buckets=_LOCAL_SECONDS,
)
LOG_MESSAGES = _of_exporter(
    "console_exporter_log_messages_total", Kind.COUNTER, "Log messages by level.", "level"
)
LOG_MESSAGES_LOST = _of_exporter(
    "console_exporter_log_messages_lost_total",
    Kind.COUNTER,
    "Log messages that could not be written, because the disk is full or nobody reads them.",
)

OF_EXPORTER = (
    BUILD_INFO,
    SHARD_INFO,
    CONFIG_RELOAD_SUCCESSFUL,
    CONFIG_RELOAD_SUCCESS_TIME,
    CONFIG_HASH,
    TARGETS,
    SCHEDULER_LATENESS,
    SCHEDULER_MISSED,
    SCHEDULER_OVERDUE,
    EVENT_LOOP_LAG,
    SCRAPE_DURATION,
    LOG_MESSAGES,
    LOG_MESSAGES_LOST,
)

CATALOG = (*PER_SERVER, *PER_PROJECT, *OF_EXPORTER)
