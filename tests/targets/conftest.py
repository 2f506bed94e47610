"""Fixtures for discovery: projects and a recording observer."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from exporter.config.config import Discovery, Project, TokenAuth
from exporter.config.secret import Secret
from exporter.model import Target


@dataclass
class RecordingObserver:
    """Records the refreshes and the sets of targets of discovery."""

    refreshes: list[tuple[str, float]] = field(default_factory=list)
    currents: list[tuple[str, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    sent: list[list[Target]] = field(default_factory=list)

    def refreshed(self, source: str, at: float) -> None:
        self.refreshes.append((source, at))

    def current(self, source: str, at: float) -> None:
        self.currents.append((source, at))

    def refresh_failed(self, source: str) -> None:
        self.failures.append(source)

    async def send(self, targets: list[Target]) -> None:
        self.sent.append(targets)

    @property
    def ids(self) -> list[str]:
        """Return the ids of the last set."""
        return [target.key.server_id for target in self.sent[-1]]


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
def project() -> Callable[..., Project]:
    """Return a factory for projects."""

    def make(
        *patterns: str,
        endpoint: str = "https://clouddc.example",
        discovery: Discovery | None = None,
    ) -> Project:
        return Project(
            "southwest",
            "cn-southwest-2",
            "0123456789abcdef0123456789abcdef",
            endpoint,
            TokenAuth(Secret("t")),
            timeout=5.0,
            server_files=patterns,
            discovery=discovery,
        )

    return make
