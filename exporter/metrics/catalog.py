"""Define the name, type, labels and help text of every metric of the exporter.

The exposition, the documentation, the dashboards and the rules all read this list. The
``process_*`` and ``python_*`` metrics come from prometheus-client and are not listed here.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Kind(StrEnum):
    """The type of a metric, spelled as in the exposition formats."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@unique
class Scope(StrEnum):
    """What a metric describes: each server, each project, or the exporter."""

    SERVER = "server"
    PROJECT = "project"
    EXPORTER = "exporter"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    ``labels`` are all label names, those of the scope first. ``buckets`` are the upper bounds of
    a histogram in seconds, without ``+Inf``. ``help`` is one line without quotes or backslashes.
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


# Per server, in the order of exposition. `console_server_info` also has the labels configured for
# the server and, if the server comes from the cloud's list, its power and health state.
SERVER_INFO = _per_server(
    "console_server_info",
    Kind.GAUGE,
    "Attributes of a server, for joins with other metrics; always 1.",
    "region",
    "depth",
)
PROBE_SUCCESS = _per_server(
    "console_probe_success",
    Kind.GAUGE,
    "Result of the last conclusive probe: 1 for success, 0 for failure; absent before the first.",
)
PROBE_OUTCOME = _per_server(
    "console_probe_outcome",
    Kind.GAUGE,
    "Outcome of the last probe and the stage that failed; always 1, only the current outcome.",
    "outcome",
    "stage",
)
PROBE_DURATION = _per_server(
    "console_probe_duration_seconds",
    Kind.GAUGE,
    "Duration of the last probe without time spent in the throttle; absent if no stage ran.",
)
PROBE_STAGE_DURATION = _per_server(
    "console_probe_stage_duration_seconds",
    Kind.GAUGE,
    "Duration of each stage of the last probe; only stages that ran.",
    "stage",
)
PROBE_STATUS_CODE = _per_server(
    "console_probe_http_status_code",
    Kind.GAUGE,
    "HTTP status of the API response in the last probe; 0 if there was no response.",
)
PROBE_CONSECUTIVE_FAILURES = _per_server(
    "console_probe_consecutive_failures",
    Kind.GAUGE,
    "Consecutive failed probes; inconclusive probes are ignored.",
)
PROBE_LAST_ATTEMPT = _per_server(
    "console_probe_last_attempt_timestamp_seconds",
    Kind.GAUGE,
    "Start time of the last probe, in Unix time.",
)
PROBE_LAST_VERDICT = _per_server(
    "console_probe_last_verdict_timestamp_seconds",
    Kind.GAUGE,
    "Start time of the last conclusive probe, in Unix time.",
)
PROBE_LAST_SUCCESS = _per_server(
    "console_probe_last_success_timestamp_seconds",
    Kind.GAUGE,
    "Start time of the last successful probe, in Unix time.",
)
PROBE_VERDICTS = _per_server(
    "console_probe_verdicts_total", Kind.COUNTER, "Conclusive probes, successful and failed."
)
PROBE_FAILURES = _per_server(
    "console_probe_failures_total", Kind.COUNTER, "Conclusive probes that failed."
)
PROBE_THROTTLED = _per_server(
    "console_probe_throttled_total", Kind.COUNTER, "Probes that got status 429 from the cloud."
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
    "console_probes_total", Kind.COUNTER, "Probes by outcome, including skipped ones.", "outcome"
)
API_REQUESTS = _per_project(
    "console_api_requests_total",
    Kind.COUNTER,
    "Requests to the cloud by HTTP status; none if there was no response, other after 50 codes.",
    "operation",
    "code",
)
API_REQUEST_DURATION = _per_project(
    "console_api_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time from sending a request to the end of its response, without time spent in the throttle.",
    "operation",
    buckets=_API_SECONDS,
)
API_ERRORS = _per_project(
    "console_api_errors_total",
    Kind.COUNTER,
    "Error responses by the error code of the cloud; other after the first 50 codes.",
    "operation",
    "error_code",
)
API_IN_FLIGHT = _per_project(
    "console_api_requests_in_flight", Kind.GAUGE, "Requests currently waiting for a response."
)
API_REACHABLE = _per_project(
    "console_api_reachable",
    Kind.GAUGE,
    "Whether the API answers: 1, or 0 after a control request without an answer of the API; absent"
    " before the first evidence.",
)
CONNECTION_DURATION = _per_project(
    "console_http_connection_duration_seconds",
    Kind.HISTOGRAM,
    "Duration of each phase of opening a connection.",
    "phase",
    buckets=_LOCAL_SECONDS,
)
CONNECTIONS_OPENED = _per_project(
    "console_http_connections_opened_total", Kind.COUNTER, "Connections opened."
)
CERTIFICATE_EXPIRY = _per_project(
    "console_tls_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    "Earliest expiry in a host's verified certificate chain, in Unix time.",
    "host",
)
THROTTLE_LIMIT = _per_project(
    "console_throttle_limit_requests_per_second",
    Kind.GAUGE,
    "Current request rate limit, lowered after 429 responses.",
)
THROTTLE_CEILING = _per_project(
    "console_throttle_ceiling_requests_per_second",
    Kind.GAUGE,
    "Configured maximum request rate.",
)
THROTTLE_WAIT = _per_project(
    "console_throttle_wait_seconds_total",
    Kind.COUNTER,
    "Time that probes spent waiting in the throttle.",
)
THROTTLE_QUEUE_LENGTH = _per_project(
    "console_throttle_queue_length", Kind.GAUGE, "Requests currently waiting in the throttle."
)
THROTTLE_RESPONSES = _per_project(
    "console_throttle_responses_total", Kind.COUNTER, "Responses with status 429, all operations."
)
THROTTLE_RESUME = _per_project(
    "console_throttle_resume_timestamp_seconds",
    Kind.GAUGE,
    "End of the current or last pause after a 429 response, in Unix time; 0 if there was none.",
)
AUTH_TOKEN_EXPIRY = _per_project(
    "console_auth_token_expiry_timestamp_seconds",
    Kind.GAUGE,
    "Expiry of the current credentials, in Unix time; absent if unknown.",
)
AUTH_REFRESHES = _per_project("console_auth_refreshes_total", Kind.COUNTER, "Credential refreshes.")
AUTH_FAILURES = _per_project(
    "console_auth_failures_total",
    Kind.COUNTER,
    "Failed credential refreshes, and new credentials that the cloud rejected.",
)
DISCOVERY_SERVERS = _per_project(
    "console_discovery_servers",
    Kind.GAUGE,
    "Servers listed by a source; a server in several sources counts for the first.",
    "source",
)
DISCOVERY_REFRESHES = _per_project(
    "console_discovery_refreshes_total",
    Kind.COUNTER,
    "Successful refreshes of a source; absent for static.",
    "source",
)
DISCOVERY_FAILURES = _per_project(
    "console_discovery_failures_total",
    Kind.COUNTER,
    "Failed refreshes of a source; the previous servers stay.",
    "source",
)
DISCOVERY_LAST_SUCCESS = _per_project(
    "console_discovery_last_success_timestamp_seconds",
    Kind.GAUGE,
    "Time at which a source was last known to be up to date, in Unix time; 0 if never.",
    "source",
)

PER_PROJECT = (
    PROBES,
    API_REQUESTS,
    API_REQUEST_DURATION,
    API_ERRORS,
    API_IN_FLIGHT,
    API_REACHABLE,
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
    "Versions of the exporter and of Python; always 1.",
    "version",
    "python_version",
)
SHARD_INFO = _of_exporter(
    "console_exporter_shard_info",
    Kind.GAUGE,
    "Shard of the servers that this exporter probes, and the number of shards; always 1.",
    "index",
    "count",
)
CONFIG_RELOAD_SUCCESSFUL = _of_exporter(
    "console_exporter_config_last_reload_successful",
    Kind.GAUGE,
    "Whether the last configuration reload succeeded.",
)
CONFIG_RELOAD_SUCCESS_TIME = _of_exporter(
    "console_exporter_config_last_reload_success_timestamp_seconds",
    Kind.GAUGE,
    "Time of the last successful configuration load, in Unix time.",
)
CONFIG_HASH = _of_exporter(
    "console_exporter_config_hash",
    Kind.GAUGE,
    "Low 48 bits of the SHA-256 of the active configuration.",
)
TARGETS = _of_exporter("console_exporter_targets", Kind.GAUGE, "Servers to probe.")
SCHEDULER_LATENESS = _of_exporter(
    "console_scheduler_lateness_seconds",
    Kind.HISTOGRAM,
    "Delay between the scheduled and the actual start of a probe.",
    buckets=_LATENESS_SECONDS,
)
SCHEDULER_MISSED = _of_exporter(
    "console_scheduler_missed_probes_total",
    Kind.COUNTER,
    "Scheduled probes not made: the previous one still ran, or the throttle left no time.",
)
SCHEDULER_OVERDUE = _of_exporter(
    "console_scheduler_overdue_servers",
    Kind.GAUGE,
    "Servers without a probe for two intervals.",
)
EVENT_LOOP_LAG = _of_exporter(
    "console_exporter_event_loop_lag_seconds",
    Kind.GAUGE,
    "Maximum event-loop lag over the last minute.",
)
SCRAPE_DURATION = _of_exporter(
    "console_exporter_scrape_duration_seconds",
    Kind.HISTOGRAM,
    "Duration of scrapes of this exporter.",
    buckets=_LOCAL_SECONDS,
)
LOG_MESSAGES = _of_exporter(
    "console_exporter_log_messages_total", Kind.COUNTER, "Log messages by level.", "level"
)
LOG_MESSAGES_LOST = _of_exporter(
    "console_exporter_log_messages_lost_total",
    Kind.COUNTER,
    "Log messages that could not be written because the disk is full or the pipe is not read.",
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
