"""Instruments whose pulled gauges read values that a test sets."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from exporter.metrics.instruments import ExporterReadings, Instruments
from exporter.metrics.project_instruments import ProjectReadings


@dataclass(slots=True)
class Readings:
    """The values that the pulled gauges read, by name."""

    now: dict[str, float | None] = field(default_factory=dict)

    def of(self, name: str) -> Callable[[], float | None]:
        """Return a function that reads the value of ``name``."""
        return lambda: self.now.get(name)

    def of_exporter(self) -> ExporterReadings:
        """Return the readings of the exporter."""
        return ExporterReadings(self.of("targets"), self.of("overdue"), self.of("lag"))

    def of_project(self) -> ProjectReadings:
        """Return the readings of a project."""
        return ProjectReadings(
            limit=self.of("limit"),
            ceiling=self.of("ceiling"),
            queue_length=self.of("queue"),
            resume_at=self.of("resume"),
            token_expires_at=self.of("expiry"),
        )


@pytest.fixture
def readings() -> Readings:
    """Return readings without any value."""
    return Readings()


@pytest.fixture
def instruments(readings: Readings) -> Instruments:
    """Return instruments without projects."""
    return Instruments("1.2.3", readings.of_exporter())
