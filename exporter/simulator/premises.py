"""One project as it stands: its servers, its speed, and what is left of its quota."""

import math
from random import Random

from exporter.simulator.fleet import Fleet
from exporter.simulator.meter import Meter
from exporter.simulator.scenario import Project, Quota


class Premises:
    """A project of the scenario, with what changes in it."""

    def __init__(self, project: Project, seed: int) -> None:
        """Build the fleet, and set up the quota as the scenario has it."""
        self.project = project
        self.fleet = Fleet(project, seed)
        self.meter = Meter(project.quota, 0.0) if project.quota else None
        self._random = Random(f"{seed}/{project.project_id}")  # noqa: S311 - weather, no secret

    def set_quota(self, quota: Quota | None, now: float) -> None:
        """Put another quota in force, or none; ``now`` is seconds since the simulator's start."""
        self.meter = Meter(quota, now) if quota else None

    def latency(self) -> float:
        """Return the seconds that the next answer takes."""
        latency = self.project.latency
        if latency.median == 0:
            return 0.0
        drawn = self._random.lognormvariate(math.log(latency.median), latency.sigma)
        return min(drawn, latency.cap)
