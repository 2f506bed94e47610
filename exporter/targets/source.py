"""Where servers come from."""

from collections.abc import Awaitable, Callable
from enum import StrEnum, unique
from typing import Protocol

from exporter.config.config import Project
from exporter.model import Target


@unique
class Source(StrEnum):
    """A source of servers. Where several list the same one, the first of these stands."""

    STATIC = "static"
    FILE = "file"
    CLOUD = "cloud"


TargetSink = Callable[[list[Target]], Awaitable[None]]
"""Takes the whole set of a source; returns when it is in effect."""


class DiscoveryObserver(Protocol):
    """Who wants to know how one project's sources do; times are Unix seconds."""

    def refreshed(self, source: str, at: float) -> None:
        """Note that a source was read again."""

    def current(self, source: str, at: float) -> None:
        """Note that a source was looked at and had not changed since it was read."""

    def refresh_failed(self, source: str) -> None:
        """Note that a source could not be read; the last good set stays."""


def sources_of(project: Project) -> list[Source]:
    """Return the sources that a project has; one without any has an empty list of its own."""
    has = {
        Source.STATIC: bool(project.servers),
        Source.FILE: bool(project.server_files),
        Source.CLOUD: project.discovery is not None,
    }
    return [source for source in Source if has[source]] or [Source.STATIC]
