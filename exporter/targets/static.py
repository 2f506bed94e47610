"""Build targets from the servers listed in the configuration."""

from collections.abc import Iterable

from exporter.config.config import Config, Project, ServerEntry
from exporter.model import Target, TargetKey


def targets_of(config: Config) -> list[Target]:
    """Return all targets listed in a configuration, in its order."""
    return [target for project in config.projects for target in project_targets(project)]


def project_targets(project: Project) -> list[Target]:
    """Return the targets of one project listed in the configuration."""
    return listed_targets(project, project.servers)


def listed_targets(project: Project, servers: Iterable[ServerEntry]) -> list[Target]:
    """Return the entries of a server list as targets of a project."""
    return [
        Target(
            key=TargetKey(project.name, server.id),
            name=server.name,
            region=project.region,
            interval=server.interval,
            timeout=server.timeout,
            depth=server.depth,
            labels=server.labels,
        )
        for server in servers
    ]
