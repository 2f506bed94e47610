"""List the servers of every source of every project once, for the command line."""

import asyncio
from dataclasses import replace

import httpx

from exporter.app.project import list_once
from exporter.clock import Clock
from exporter.config.config import Config, Project
from exporter.config.errors import ConfigError
from exporter.config.secret import SecretUnreadableError
from exporter.config.server_file import read_server_files
from exporter.model import Target, TargetKey
from exporter.targets import TargetNotFoundError, find_target, project_targets, targets_of
from exporter.targets.source import Source, sources_of
from exporter.targets.source_report import SourceReport
from exporter.targets.static import listed_targets


async def discover(config: Config, clock: Clock) -> list[tuple[Project, list[SourceReport]]]:
    """Return the servers that each source of each project lists; projects run concurrently."""
    found = await asyncio.gather(*(_reports(project, clock) for project in config.projects))
    return list(zip(config.projects, found, strict=True))


async def _reports(project: Project, clock: Clock) -> list[SourceReport]:
    return [await _report(project, source, clock) for source in sources_of(project)]


async def _report(project: Project, source: Source, clock: Clock) -> SourceReport:
    try:
        if source is Source.STATIC:
            targets = project_targets(project)
        elif source is Source.FILE:
            entries = await asyncio.to_thread(read_server_files, project)
            targets = listed_targets(project, entries)
        else:
            targets = await list_once(project, clock)
    except (ConfigError, httpx.RequestError, OSError, SecretUnreadableError) as error:
        return SourceReport(source, failure=str(error))
    return SourceReport(source, tuple(targets))


async def find_listed_target(
    config: Config, wanted: str, project_name: str | None, clock: Clock
) -> Target:
    """Return the target with this id or name; read files and ask clouds only if needed.

    ``project_name`` restricts the search to one project, None searches all. Raises
    `TargetNotFoundError`; the message names each source that failed.
    """
    try:
        return find_target(targets_of(config), wanted, project_name)
    except TargetNotFoundError as error:
        projects = [one for one in config.projects if project_name in {None, one.name}]
        if error.found or all(sources_of(one) == [Source.STATIC] for one in projects):
            raise
    found = await discover(replace(config, projects=tuple(projects)), clock)
    reports = [one for _, of_project in found for one in of_project]
    joined: dict[TargetKey, Target] = {}
    for target in (target for one in reports for target in one.targets):
        joined.setdefault(target.key, target)
    try:
        return find_target(joined.values(), wanted, project_name)
    except TargetNotFoundError as error:
        failures = [f"; {one.source} failed: {one.failure}" for one in reports if one.failure]
        raise TargetNotFoundError(f"{error}{''.join(failures)}", error.found) from None
