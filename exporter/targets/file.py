"""Servers that files list: read again when the files change, all of them or none."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from exporter.clock import Clock
from exporter.config.build import entries_of
from exporter.config.config import Project
from exporter.config.errors import ConfigError
from exporter.config.server_file import (
    Found,
    ServerFile,
    Signature,
    find_server_files,
    read_server_file,
    servers_of_files,
)
from exporter.model import Target
from exporter.targets.source import DiscoveryObserver, Source, TargetSink
from exporter.targets.static import listed_targets

LOOK_SECONDS = 2.0
"""How often the files are looked at; one that changed is read when it did not change any more."""
_MISTAKES_TOLD = 20

log = structlog.get_logger(__name__)


class FileDiscovery:
    """Watches the server files of one project, and sends their whole set when it changed.

    What is wrong in any file leaves the last good set in effect. A file is read by a thread: ten
    thousand servers take a second or more.
    """

    def __init__(
        self,
        project: Project,
        *,
        send: TargetSink,
        observer_of: Callable[[str], DiscoveryObserver],
        clock: Clock,
        before: "FileDiscovery | None" = None,
    ) -> None:
        """Watch the files that ``project`` names; one like this ``before`` may have read them."""
        self.project = project
        self._send = send
        self._observer_of = observer_of
        self._clock = clock
        self.cache: dict[Path, tuple[Signature | None, ServerFile]] = (
            dict(before.cache) if before else {}
        )
        self._seen: Found | None = None
        self._read: Found | None = None
        self._good = False

    async def run(self) -> None:
        """Look at the files until cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:  # the next look must come, whatever happened in this one
                log.exception("discovery failed by a fault of the exporter", **self._whose)
                self._good = False
                self.report()

    async def look(self) -> None:
        """Read the files if they changed, and then were left alone until now."""
        try:
            found = await asyncio.to_thread(find_server_files, self.project.server_files)
        except ConfigError as error:
            if self._good:
                self._refuse(error)
                self.report()
            self._seen = self._read = None
            return
        before, self._seen = self._seen, found
        if found == self._read:
            if self._good:
                self._observer_of(self.project.name).current(Source.FILE, self._clock.time())
        elif found == before:
            targets = await self.read()
            self.report()
            if targets is not None:
                await self._send(targets)

    async def read(self) -> list[Target] | None:
        """Read the files now; None when they cannot be used, which is logged."""
        try:
            targets = await asyncio.to_thread(self._targets)
        except ConfigError as error:
            self._refuse(error)
            return None
        self._good = True
        return targets

    def report(self) -> None:
        """Tell the observer how the last reading ended."""
        observer = self._observer_of(self.project.name)
        if self._good:
            observer.refreshed(Source.FILE, self._clock.time())
        else:
            observer.refresh_failed(Source.FILE)

    def _targets(self) -> list[Target]:
        project = self.project
        found = find_server_files(project.server_files)
        self.cache = {path: (mark, self._file(path, mark)) for path, mark in found.items()}
        # Noted before what may be wrong with them, so that the same files are not read again.
        self._read = found
        files = [file for _, file in self.cache.values()]
        servers = servers_of_files(files, project.interval, project.timeout)
        return listed_targets(project, entries_of(project, servers))

    def _file(self, path: Path, signature: Signature | None) -> ServerFile:
        known = self.cache.get(path)
        if known is not None and signature is not None and known[0] == signature:
            return known[1]
        return read_server_file(path)

    def _refuse(self, error: ConfigError) -> None:
        self._good = False
        told = [str(detail) for detail in error.details[:_MISTAKES_TOLD]]
        if len(error.details) > _MISTAKES_TOLD:
            told.append(f"and {len(error.details) - _MISTAKES_TOLD} more")
        for detail in told:
            log.error(
                "server files refused, their last good servers stay", error=detail, **self._whose
            )

    @property
    def _whose(self) -> dict[str, str]:
        return {"project": self.project.name}
