"""The simulated cloud: request counts, and controls for tests and outage drills."""

from collections.abc import Iterable

from starlette.routing import BaseRoute

from exporter.clock import Clock, SystemClock
from exporter.simulator.access_keys import AccessKeys
from exporter.simulator.authenticator import Authenticator
from exporter.simulator.cloud import Cloud
from exporter.simulator.console import ConsoleGateway
from exporter.simulator.faults import Faults
from exporter.simulator.iam import Iam, Metadata
from exporter.simulator.lockout import Failures
from exporter.simulator.project_state import ProjectState
from exporter.simulator.request_log import Counts, RequestLog
from exporter.simulator.scenario import Fault, QuotaSpec, Scenario, Server
from exporter.simulator.tokens import Tokens


class Simulator:
    """A simulated cloud. ``url`` is its address once it listens.

    The spans of faults and quotas count from its creation.
    """

    def __init__(self, scenario: Scenario, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.url = ""
        self._projects = {
            project.name: ProjectState(project, scenario.seed) for project in scenario.projects
        }
        lockout = scenario.lockout
        fleets = {name: state.fleet for name, state in self._projects.items()}
        self._tokens = Tokens()
        self._access_keys = AccessKeys(scenario.projects)
        self._faults = Faults(scenario.faults, fleets, scenario.seed)
        self._request_log = RequestLog(self._faults, clock)
        self._cloud = Cloud(
            projects=self._projects,
            authenticator=Authenticator(
                self._tokens,
                self._access_keys,
                self._faults,
                Failures(lockout.failures, lockout.access_key),
            ),
            iam=Iam(
                {project.name: project for project in scenario.projects},
                self._tokens,
                Failures(lockout.failures, lockout.account),
            ),
            metadata=Metadata(scenario.agency, self._access_keys),
            faults=self._faults,
            request_log=self._request_log,
            clock=clock,
        )
        self._consoles = ConsoleGateway(self._projects, self._request_log, clock)

    @property
    def elapsed(self) -> float:
        """Return the seconds since the start, the time scale of faults and quotas."""
        return self._request_log.now

    @property
    def counts(self) -> Counts:
        """Return the number of requests by ``(project, operation, status)``.

        The status is ``none`` without a response, 101 for an opened WebSocket, and the close code
        for ``console_rfb``.
        """
        return self._request_log.counts

    def servers(self, project: str) -> tuple[Server, ...]:
        """Return the servers of a project; raises `KeyError` if the project is unknown."""
        return tuple(self._projects[project].fleet)

    def set_quota(self, project: str, spec: QuotaSpec | None) -> None:
        """Set or remove a project's quota; raises `KeyError` if the project is unknown."""
        self._projects[project].set_quota(spec, self.elapsed)

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Replace all faults."""
        self._faults.replace(faults)

    def add_fault(self, fault: Fault) -> None:
        """Add a fault."""
        self._faults.add(fault)

    def remove_fault(self, fault: Fault) -> None:
        """Remove a fault; raises `ValueError` if it is not set."""
        self._faults.remove(fault)

    def revoke_tokens(self, project: str) -> None:
        """Revoke all tokens of a project."""
        self._tokens.revoke(project)

    def expire_temporary_keys(self) -> None:
        """Expire all keys issued by the metadata service immediately."""
        self._access_keys.expire_temporary(self.elapsed)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the cloud and its consoles."""
        return [*self._consoles.routes(), *self._cloud.routes()]
