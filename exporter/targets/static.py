"""The targets that the configuration itself lists."""

from collections.abc import Iterable

from exporter.config.config import Config, Project, ServerEntry
from exporter.model import Target, TargetKey


def targets_of(config: Config) -> list[Target]:
    """Return every target that a configuration lists, in its order."""
    return [target for project in config.projects for target in project_targets(project)]


def project_targets(project: Project) -> list[Target]:
    """Return the targets of one project: the servers that its configuration lists."""
    return listed_targets(project, project.servers)


def listed_targets(project: Project, servers: Iterable[ServerEntry]) -> list[Target]:
    """Return servers of a list as targets of a project."""
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
