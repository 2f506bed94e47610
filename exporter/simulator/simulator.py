"""The pretend cloud as an object: what it has seen, and the levers for tests and rehearsals."""

from collections.abc import Iterable

from aiohttp import web

from exporter.simulator.access_keys import AccessKeys
from exporter.simulator.authenticator import Authenticator
from exporter.simulator.clock import Clock, RealClock
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
    """One pretend cloud. ``url`` is where it listens, once it does."""

    def __init__(self, scenario: Scenario, clock: Clock | None = None) -> None:
        """Build the cloud of ``scenario``; its spans count from now."""
        clock = clock or RealClock()
        self.url = ""
        self._projects = {
            project.name: ProjectState(project, scenario.seed) for project in scenario.projects
        }
        lockout = scenario.lockout
        fleets = {name: place.fleet for name, place in self._projects.items()}
        self._tokens = Tokens()
        self._access_keys = AccessKeys(scenario.projects)
        self._faults = Faults(scenario.faults, fleets, scenario.seed)
        self._visits = RequestLog(self._faults, clock)
        self._cloud = Cloud(
            projects=self._projects,
            gatekeeper=Authenticator(
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
            visits=self._visits,
            clock=clock,
        )
        self._consoles = ConsoleGateway(self._projects, self._visits, clock)

    @property
    def elapsed(self) -> float:
        """Seconds since the start, which the spans of faults and quotas count from."""
        return self._visits.now

    @property
    def counts(self) -> Counts:
        """Requests by ``(project, operation, status)``; ``none`` where there was no answer.

        The status of a WebSocket is 101, that of console_rfb its close code.
        """
        return self._visits.counts

    def servers(self, project: str) -> tuple[Server, ...]:
        """Return the servers of a project; raises `KeyError` when there is no such project."""
        return tuple(self._projects[project].fleet)

    def set_quota(self, project: str, quota: QuotaSpec | None) -> None:
        """Put a quota in force, or none; raises `KeyError` when there is no such project."""
        self._projects[project].set_quota(quota, self.elapsed)

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Put these faults in force, and no others."""
        self._faults.replace(faults)

    def add_fault(self, fault: Fault) -> None:
        """Put one more fault in force."""
        self._faults.add(fault)

    def remove_fault(self, fault: Fault) -> None:
        """End a fault; raises `ValueError` when it is not in force."""
        self._faults.remove(fault)

    def revoke_tokens(self, project: str) -> None:
        """End all tokens of a project."""
        self._tokens.revoke(project)

    def expire_temporary_keys(self) -> None:
        """Let every key that the metadata service gave out expire at once."""
        self._access_keys.end_temporary(self.elapsed)

    def routes(self) -> list[web.RouteDef]:
        """Return the addresses that the cloud and its consoles answer at."""
        return [*self._consoles.routes(), *self._cloud.routes()]
