"""Record the metrics of one project: API requests, connections, logins, throttling, probes."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from exporter.metrics import catalog
from exporter.metrics.catalog import CONNECTION_PHASES, OPERATIONS
from exporter.metrics.discovery_instruments import DiscoveryFamilies, DiscoveryInstruments
from exporter.metrics.registered import counter, gauge, histogram
from exporter.model import ProbeResult
from exporter.outcome import Outcome

# The statuses that the API documents. Series start at 0, so that `increase` sees the first error.
_DOCUMENTED_STATUSES = (400, 401, 403, 404, 429, 500)
_SUCCESS_STATUS = {"remote_console": 200, "list_servers": 200, "create_token": 201}
_NO_STATUS = "none"

# Limits for label values that the cloud chooses.
_STATUSES_MAX = 50
_ERROR_CODES_MAX = 50
_OTHER = "other"
_HOSTS_MAX = 50
_EXEMPLAR_MAX = 128


class ProjectFamilies:
    """The per-project metrics, shared by all projects."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.probes = counter(catalog.PROBES, registry)
        self.requests = counter(catalog.API_REQUESTS, registry)
        self.request_duration = histogram(catalog.API_REQUEST_DURATION, registry)
        self.errors = counter(catalog.API_ERRORS, registry)
        self.in_flight = gauge(catalog.API_IN_FLIGHT, registry)
        self.connection_duration = histogram(catalog.CONNECTION_DURATION, registry)
        self.connections_opened = counter(catalog.CONNECTIONS_OPENED, registry)
        self.certificate_expiry = gauge(catalog.CERTIFICATE_EXPIRY, registry)
        self.throttle_wait = counter(catalog.THROTTLE_WAIT, registry)
        self.throttle_responses = counter(catalog.THROTTLE_RESPONSES, registry)
        self.auth_refreshes = counter(catalog.AUTH_REFRESHES, registry)
        self.auth_failures = counter(catalog.AUTH_FAILURES, registry)
        self.discovery = DiscoveryFamilies(registry)
        self._set = (
            self.probes,
            self.requests,
            self.request_duration,
            self.errors,
            self.in_flight,
            self.connection_duration,
            self.connections_opened,
            self.certificate_expiry,
            self.throttle_wait,
            self.throttle_responses,
            self.auth_refreshes,
            self.auth_failures,
        )

    def remove(self, project: str) -> None:
        """Remove every series of a project."""
        for family in self._set:
            family.remove_by_labels({"project": project})
        self.discovery.remove(project=project)


class ProjectInstruments:
    """Record the events of one project. Durations are seconds, times are Unix time.

    Series whose labels are known in advance start at zero.
    """

    def __init__(self, project: str, families: ProjectFamilies) -> None:
        self._project = project
        self._families = families
        self._removed = False
        self._statuses: set[str] = {_NO_STATUS, *map(str, _DOCUMENTED_STATUSES)}
        self._error_codes: set[str] = set()
        self._hosts: set[str] = set()
        self._probes = {outcome: families.probes.labels(project, outcome) for outcome in Outcome}
        self._in_flight = families.in_flight.labels(project)
        self._durations = {
            operation: families.request_duration.labels(project, operation)
            for operation in OPERATIONS
        }
        self._phases = {
            phase: families.connection_duration.labels(project, phase)
            for phase in CONNECTION_PHASES
        }
        self._connections_opened = families.connections_opened.labels(project)
        self._wait = families.throttle_wait.labels(project)
        self._throttled = families.throttle_responses.labels(project)
        self._refreshes = families.auth_refreshes.labels(project)
        self._failures = families.auth_failures.labels(project)
        self.discovery = DiscoveryInstruments(project, families.discovery)
        for operation, success in _SUCCESS_STATUS.items():
            for code in (success, *_DOCUMENTED_STATUSES, _NO_STATUS):
                families.requests.labels(project, operation, code)

    def remove(self) -> None:
        """Remove every series of the project; later events are ignored."""
        self._removed = True
        self.discovery.show(())
        self._families.remove(self._project)

    def request_started(self, operation: str) -> None:  # noqa: ARG002 - signature of the observer protocol
        """Record that a request was sent."""
        self._in_flight.inc()

    def request_finished(  # noqa: PLR0913 - signature of the observer protocol
        self,
        operation: str,
        status: int | None,
        seconds: float,
        *,
        error_code: str = "",
        server_id: str = "",
        request_id: str = "",
    ) -> None:
        """Record the end of a request; ``status`` is None if there was no response."""
        self._in_flight.dec()
        self._durations[operation].observe(seconds, _exemplar(server_id, request_id))
        if self._removed:
            return
        code = _NO_STATUS if status is None else str(status)
        code = _shown(code, self._statuses, _STATUSES_MAX)
        self._families.requests.labels(self._project, operation, code).inc()
        if error_code:
            shown = _shown(error_code, self._error_codes, _ERROR_CODES_MAX)
            self._families.errors.labels(self._project, operation, shown).inc()

    def request_cancelled(self) -> None:
        """Record that a request was cancelled before its response."""
        self._in_flight.dec()

    def throttled(self) -> None:
        """Record a response with status 429."""
        self._throttled.inc()

    def waited(self, seconds: float) -> None:
        """Record the time that a probe waited in the throttle."""
        self._wait.inc(seconds)

    def connection_opened(self, phases: Mapping[str, float]) -> None:
        """Record a new connection and the duration of each phase of opening it."""
        self._connections_opened.inc()
        for phase, seconds in phases.items():
            self._phases[phase].observe(seconds)

    def certificate_seen(self, host: str, expires_at: float) -> None:
        """Record the expiry of a host's certificate; hosts after the first 50 are ignored."""
        if self._removed or (host not in self._hosts and len(self._hosts) >= _HOSTS_MAX):
            return
        self._hosts.add(host)
        self._families.certificate_expiry.labels(self._project, host).set(expires_at)

    def login_refreshed(self) -> None:
        """Record a credential refresh."""
        self._refreshes.inc()

    def login_failed(self) -> None:
        """Record that a credential refresh failed, or that new credentials were rejected."""
        self._failures.inc()

    def probed(self, result: ProbeResult) -> None:
        """Record the outcome of a probe; `waited` records its time in the throttle."""
        self._probes[result.outcome].inc()


def _shown(text: str, known: set[str], most: int) -> str:
    """Return the text, or `other` if there are ``most`` different texts already."""
    if text in known:
        return text
    if len(known) >= most:
        return _OTHER
    known.add(text)
    return text


def _exemplar(server_id: str, request_id: str) -> dict[str, str]:
    """Return the labels of an exemplar: OpenMetrics allows 128 characters in total.

    A truncated id is useless, so an id that does not fit is left out.
    """
    labels: dict[str, str] = {}
    left = _EXEMPLAR_MAX
    for name, text in (("server_id", server_id), ("request_id", request_id)):
        size = len(name) + len(text)
        if text and size <= left:
            labels[name] = text
            left -= size
    return labels
