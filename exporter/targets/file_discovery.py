"""Discover servers from files; all files of a project are reloaded together when they change."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from exporter.clock import Clock
from exporter.config.config import Project
from exporter.config.errors import ConfigError
from exporter.config.section import inherited
from exporter.config.server_file import (
    FoundFiles,
    ServerFile,
    Signature,
    find_server_files,
    merge_server_files,
    read_server_file,
)
from exporter.model import Target
from exporter.targets.source import DiscoveryObserver, Source, TargetSink
from exporter.targets.static import listed_targets

CHECK_SECONDS = 2.0
"""Time between checks; a changed file is read once it is unchanged for two checks."""
_LOGGED_ERRORS_MAX = 20

log = structlog.get_logger(__name__)


class FileDiscovery:
    """Watches the server files of one project and passes the whole set to ``send`` on a change.

    If any file is invalid, the last good set stays active. Files are read in a thread, because ten
    thousand servers take a second or more. ``before`` is the previous discovery of the project,
    whose parsed files are reused unless the servers inherit other settings now.
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
        self.project = project
        self._send = send
        self._observer_of = observer_of
        self._clock = clock
        self._defaults = inherited(project)
        self.cache: dict[Path, tuple[Signature | None, ServerFile]] = (
            dict(before.cache) if before and inherited(before.project) == self._defaults else {}
        )
        self._seen: FoundFiles | None = None
        self._read: FoundFiles | None = None
        self._good = False

    async def run(self) -> None:
        """Check the files until cancelled."""
        while True:
            await self._clock.sleep(CHECK_SECONDS)
            try:
                await self.check()
            except Exception:  # one failed check must not end the discovery
                log.exception("unexpected discovery error", **self._log_context)
                self._good = False
                self.report()

    async def check(self) -> None:
        """Read the files if they differ from the last read, but not from the previous check."""
        try:
            found = await asyncio.to_thread(find_server_files, self.project.server_files)
        except ConfigError as error:
            if self._good:
                self._reject(error)
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
        """Read the files now; if they are invalid, log their errors and return None."""
        try:
            targets = await asyncio.to_thread(self._targets)
        except ConfigError as error:
            self._reject(error)
            return None
        self._good = True
        return targets

    def report(self) -> None:
        """Tell the observer whether the last read succeeded."""
        observer = self._observer_of(self.project.name)
        if self._good:
            observer.refreshed(Source.FILE, self._clock.time())
        else:
            observer.refresh_failed(Source.FILE)

    def _targets(self) -> list[Target]:
        found = find_server_files(self.project.server_files)
        self.cache = {path: (mark, self._file(path, mark)) for path, mark in found.items()}
        # Set before validation, so that invalid files are not read again until they change.
        self._read = found
        servers = merge_server_files([file for _, file in self.cache.values()])
        return listed_targets(self.project, servers)

    def _file(self, path: Path, signature: Signature | None) -> ServerFile:
        known = self.cache.get(path)
        if known is not None and signature is not None and known[0] == signature:
            return known[1]
        return read_server_file(path, self._defaults)

    def _reject(self, error: ConfigError) -> None:
        self._good = False
        messages = [str(detail) for detail in error.details[:_LOGGED_ERRORS_MAX]]
        if len(error.details) > _LOGGED_ERRORS_MAX:
            messages.append(f"and {len(error.details) - _LOGGED_ERRORS_MAX} more")
        for message in messages:
            log.error(
                "server files invalid, previous servers stay active",
                error=message,
                **self._log_context,
            )

    @property
    def _log_context(self) -> dict[str, str]:
        return {"project": self.project.name}
