"""The sources of servers."""

from collections.abc import Awaitable, Callable
from enum import StrEnum, unique
from typing import Protocol

from exporter.config.config import Project
from exporter.model import Target


@unique
class Source(StrEnum):
    """A source of servers. If several list the same server, the source defined first wins."""

    STATIC = "static"
    FILE = "file"
    CLOUD = "cloud"


TargetSink = Callable[[list[Target]], Awaitable[None]]
"""Receives the whole set of a source; returns when it is active."""


class DiscoveryObserver(Protocol):
    """Receives the refreshes of one project's sources; times are Unix seconds."""

    def refreshed(self, source: str, at: float) -> None:
        """Record that a source was read."""

    def current(self, source: str, at: float) -> None:
        """Record that a source was checked and is unchanged since it was read."""

    def refresh_failed(self, source: str) -> None:
        """Record that a source could not be read; the last good set stays active."""


def sources_of(project: Project) -> list[Source]:
    """Return the sources of a project; one without any has an empty static list."""
    has = {
        Source.STATIC: bool(project.servers),
        Source.FILE: bool(project.server_files),
        Source.CLOUD: project.discovery is not None,
    }
    return [source for source in Source if has[source]] or [Source.STATIC]
