"""The current state of one project: servers, quota and console tokens."""

import math
from random import Random

from exporter.simulator.console_tokens import ConsoleTokens
from exporter.simulator.fleet import Fleet
from exporter.simulator.quota import Quota
from exporter.simulator.scenario import Project, QuotaSpec, Server


class ProjectState:
    """A project of the scenario, and everything of it that changes while the simulator runs."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project = project
        self.fleet = Fleet(project, seed)
        self.quota = Quota(project.quota, 0.0) if project.quota else None
        self.console_tokens = ConsoleTokens(project.console.token_lifetime)
        self._random = Random(f"{seed}/{project.project_id}")  # noqa: S311 - latencies, not secrets

    def set_quota(self, spec: QuotaSpec | None, now: float) -> None:
        """Set or remove the quota; ``now`` is in seconds since the simulator's start."""
        self.quota = Quota(spec, now) if spec else None

    def console_host(self, server: Server) -> str:
        """Return the host part of a server's console path."""
        return f"{server.name}.{self.project.region}"

    def server_at(self, host: str) -> Server | None:
        """Return the server whose console path has ``host``, or None."""
        region = f".{self.project.region}"
        return self.fleet.named(host.removesuffix(region)) if host.endswith(region) else None

    def server_of(self, token: str, now: float) -> Server | None:
        """Return the server of a console token that is valid ``now``, or None."""
        server_id = self.console_tokens.find(token, now)
        return None if server_id is None else self.fleet.get(server_id)

    def latency(self) -> float:
        """Draw the latency of a response in seconds."""
        latency = self.project.latency
        if latency.median == 0:
            return 0.0
        drawn = self._random.lognormvariate(math.log(latency.median), latency.sigma)
        return min(drawn, latency.cap)
