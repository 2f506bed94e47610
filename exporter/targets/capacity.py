"""Compare the probes that the configuration needs with each project's rate limit."""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.config.config import Config, Project
from exporter.targets.sharding import UNSHARDED, Shard


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """The demand of one project and its rate limit, in requests per second.

    On a shard: the demand of the shard's ``servers`` and the shard's part of the rate limit.
    """

    project: Project
    servers: int
    demanded: float
    shard: Shard = UNSHARDED

    @classmethod
    def of(
        cls, project: Project, intervals: Iterable[float], shard: Shard = UNSHARDED
    ) -> "CapacityPlan":
        """Compute the plan for servers with these intervals (seconds)."""
        rates = [1 / interval for interval in intervals]
        return cls(project, len(rates), sum(rates), shard)

    @property
    def allowed(self) -> float:
        """Return the rate limit."""
        return self.shard.share(self.project.rate_limit).requests_per_second

    @property
    def fits(self) -> bool:
        """Return whether every server can be probed in each of its intervals."""
        return self.demanded <= self.allowed

    def __str__(self) -> str:
        name, count = self.project.name, self.servers
        servers = "1 server needs" if count == 1 else f"{count} servers need"
        part = f", {self.shard}" if self.shard.count > 1 else ""
        demand = (
            f"project {name} ({self.project.region}){part}: {servers}"
            f" {self.demanded:.3g} probes per second,"
            f" {self.demanded / self.allowed:.0%} of the {self.allowed:.3g} allowed"
        )
        if self.fits:
            return demand
        return (
            f"{demand}. The rate limit is too low: make the intervals"
            f" {self.demanded / self.allowed:.3g} times as long,"
            f" or raise rate_limit.requests_per_second above {self.demanded * self.shard.count:.3g}"
            " if the cloud's quota allows it"
        )


def plans(config: Config) -> list[CapacityPlan]:
    """Return the plan of each project for the servers listed in the configuration."""
    return [
        CapacityPlan.of(project, (server.interval for server in project.servers))
        for project in config.projects
    ]
