"""A fake running exporter with two projects, and a client of its API."""

from collections.abc import AsyncIterator

import httpx
import pytest

from exporter.model import ProjectStatus
from exporter.state import StateStore
from tests.web.fake_exporter import NOW, FakeExporter

PROJECTS = [
    ProjectStatus("southwest", "cn-southwest-2", 2.5, 5.0, 3, NOW - 60, NOW + 3600.0004),
    ProjectStatus("east", "cn-east-3", 5.0, 5.0, 0),
]


@pytest.fixture
def fake() -> FakeExporter:
    return FakeExporter(StateStore(history_length=3), PROJECTS)


@pytest.fixture
async def client(fake: FakeExporter) -> AsyncIterator[httpx.AsyncClient]:
    async with fake.client() as client:
        yield client
