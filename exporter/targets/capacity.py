"""What the configured probing asks of each project's rate limit."""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.config.config import Config, Project
from exporter.targets.sharding import ALONE, Shard


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """One project's demand against its ceiling, in requests a second.

    On a shard that is the demand of its ``servers`` against its share of the ceiling.
    """

    project: Project
    servers: int
    demanded: float
    shard: Shard = ALONE

    @classmethod
    def of(
        cls, project: Project, intervals: Iterable[float], shard: Shard = ALONE
    ) -> "CapacityPlan":
        """Add up the probes a second that servers with these intervals (seconds) ask for."""
        rates = [1 / interval for interval in intervals]
        return cls(project, len(rates), sum(rates), shard)

    @property
    def allowed(self) -> float:
        """Return the ceiling."""
        return self.shard.share(self.project.rate_limit).requests_per_second

    @property
    def fits(self) -> bool:
        """Return whether every server can be probed in each of its intervals."""
        return self.demanded <= self.allowed

    def __str__(self) -> str:
        name, count = self.project.name, self.servers
        who = "1 server asks" if count == 1 else f"{count} servers ask"
        part = f", {self.shard}" if self.shard.count > 1 else ""
        asked = (
            f"project {name} ({self.project.region}){part}: {who}"
            f" for {self.demanded:.3g} probes a second,"
            f" {self.demanded / self.allowed:.0%} of the {self.allowed:.3g} allowed"
        )
        if self.fits:
            return asked
        return (
            f"{asked}: they do not fit. Make the intervals"
            f" {self.demanded / self.allowed:.3g} times as long,"
            f" or raise rate_limit.requests_per_second above {self.demanded * self.shard.count:.3g}"
            " if the cloud's quota allows it"
        )


def plans(config: Config) -> list[CapacityPlan]:
    """Return the plan of each project, for the servers that the configuration lists."""
    return [
        CapacityPlan.of(project, (server.interval for server in project.servers))
        for project in config.projects
    ]
