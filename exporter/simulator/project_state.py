"""One project as it stands: its servers, its speed, and what is left of its quota."""

import math
from random import Random

from exporter.simulator.console_tokens import ConsoleTokens
from exporter.simulator.fleet import Fleet
from exporter.simulator.quota import Quota
from exporter.simulator.scenario import Project, QuotaSpec, Server


class ProjectState:
    """A project of the scenario, with what changes in it."""

    def __init__(self, project: Project, seed: int) -> None:
        """Build the fleet, and set up the quota as the scenario has it."""
        self.project = project
        self.fleet = Fleet(project, seed)
        self.quota_meter = Quota(project.quota, 0.0) if project.quota else None
        self.console_tokens = ConsoleTokens(project.console.token_lifetime)
        self._random = Random(f"{seed}/{project.project_id}")  # noqa: S311 - weather, no secret

    def set_quota(self, quota: QuotaSpec | None, now: float) -> None:
        """Put another quota in force, or none; ``now`` is seconds since the simulator's start."""
        self.quota_meter = Quota(quota, now) if quota else None

    def console_host(self, server: Server) -> str:
        """Return the host that stands for a server in the path of its console."""
        return f"{server.name}.{self.project.region}"

    def server_at(self, host: str) -> Server | None:
        """Return the server whose console is at ``host``, None when there is none."""
        region = f".{self.project.region}"
        return self.fleet.named(host.removesuffix(region)) if host.endswith(region) else None

    def server_of(self, token: str, now: float) -> Server | None:
        """Return the server whose console ``token`` opens ``now``, None when there is none."""
        server_id = self.console_tokens.find(token, now)
        return None if server_id is None else self.fleet.get(server_id)

    def latency(self) -> float:
        """Return the seconds that the next answer takes."""
        latency = self.project.latency
        if latency.median == 0:
            return 0.0
        drawn = self._random.lognormvariate(math.log(latency.median), latency.sigma)
        return min(drawn, latency.cap)
