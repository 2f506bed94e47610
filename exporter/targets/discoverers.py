"""Run the discovery of all projects: each source sends its whole set when it changes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from exporter.clock import Clock
from exporter.config.config import Project
from exporter.model import Target
from exporter.targets.cloud_discovery import CloudDiscovery, ServerLister
from exporter.targets.file_discovery import FileDiscovery
from exporter.targets.source import DiscoveryObserver, Source


class ProjectClient(Protocol):
    """A running project: its configuration and its cloud client."""

    @property
    def project(self) -> Project:
        """Return the configuration."""

    @property
    def client(self) -> ServerLister:
        """Return the cloud client."""


class Discoverers:
    """Runs a task for each source of each project that can change without a reload.

    ``send`` is called with a project's name, a source and its whole set of targets.
    """

    def __init__(
        self,
        *,
        send: Callable[[str, Source, list[Target]], Awaitable[None]],
        observer_of: Callable[[str], DiscoveryObserver],
        clock: Clock,
    ) -> None:
        self._send = send
        self._observer_of = observer_of
        self._clock = clock
        self._files: dict[str, FileDiscovery] = {}
        self._tasks: dict[tuple[str, Source], asyncio.Task[None]] = {}
        self._listing: dict[str, tuple[ServerLister, Project]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def read_files(
        self, projects: Iterable[Project]
    ) -> dict[FileDiscovery, list[Target] | None]:
        """Read the server files of ``projects``; the targets are None for invalid files.

        Running discovery is not changed; pass the result to `update` once the projects are active.
        """
        found: dict[FileDiscovery, list[Target] | None] = {}
        for project in projects:
            if project.server_files:
                discovery = FileDiscovery(
                    project,
                    send=partial(self._send, project.name, Source.FILE),
                    observer_of=self._observer_of,
                    clock=self._clock,
                    before=self._files.get(project.name),
                )
                found[discovery] = await discovery.read()
        return found

    def update(
        self,
        projects: Mapping[str, ProjectClient],
        files: Iterable[FileDiscovery],
        known: Callable[[str], int],
    ) -> None:
        """Run the discovery of exactly these projects; unchanged discovery continues.

        ``known`` returns the number of servers in the cloud's last list of a project.
        """
        for name, source in list(self._tasks):
            if source is Source.FILE or not self._is_unchanged(projects.get(name)):
                self._end(name, source)
        self._listing = {name: one for name, one in self._listing.items() if name in projects}
        self._files = {discovery.project.name: discovery for discovery in files}
        for name, discovery in self._files.items():
            discovery.report()
            self._tasks[name, Source.FILE] = asyncio.create_task(discovery.run())
        for name, parts in projects.items():
            if parts.project.discovery and (name, Source.CLOUD) not in self._tasks:
                self._list(name, parts, known)

    async def stop(self) -> None:
        """Stop all discovery."""
        for name, source in list(self._tasks):
            self._end(name, source)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _is_unchanged(self, parts: ProjectClient | None) -> bool:
        return parts is not None and self._listing.get(parts.project.name) == _listing(parts)

    def _list(self, name: str, parts: ProjectClient, known: Callable[[str], int]) -> None:
        project = parts.project
        if project.discovery is None:
            return
        before = self._listing.get(name)
        # A list with other filters cannot be compared.
        same = before is not None and before[1].discovery == project.discovery
        discovery = CloudDiscovery(
            project,
            project.discovery,
            parts.client,
            send=partial(self._send, name, Source.CLOUD),
            observer=self._observer_of(name),
            clock=self._clock,
            known=known(name) if same else 0,
        )
        self._listing[name] = _listing(parts)
        self._tasks[name, Source.CLOUD] = asyncio.create_task(discovery.run())

    def _end(self, name: str, source: Source) -> None:
        task = self._tasks.pop((name, source))
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _listing(parts: ProjectClient) -> tuple[ServerLister, Project]:
    """Return everything that a running discovery depends on."""
    return parts.client, replace(parts.project, servers=(), server_files=())
