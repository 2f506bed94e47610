"""Instruments whose gauges read values that a test sets."""

from dataclasses import dataclass, field

import pytest

from exporter.metrics.instruments import Instruments
from exporter.model import ProjectStatus


@dataclass(slots=True)
class Readings:
    """The values that are read at each scrape."""

    projects: list[ProjectStatus] = field(default_factory=list)
    targets: float | None = None
    overdue_servers: float | None = None
    event_loop_lag: float | None = None

    def instruments(self) -> Instruments:
        """Return instruments that read these values."""
        return Instruments(
            "1.2.3",
            projects=lambda: self.projects,
            targets=lambda: self.targets,
            overdue_servers=lambda: self.overdue_servers,
            event_loop_lag=lambda: self.event_loop_lag,
        )


@pytest.fixture
def readings() -> Readings:
    """Return readings without any value."""
    return Readings()


@pytest.fixture
def instruments(readings: Readings) -> Instruments:
    """Return instruments without projects."""
    return readings.instruments()
