"""The pretend cloud, in a process of its own."""

from collections.abc import Iterator

import pytest

from tests.real.programs import simulator
from tests.real.simulated_project import listed_servers


@pytest.fixture(scope="session")
def cloud() -> Iterator[str]:
    """Yield the address of a pretend cloud with its default scenario."""
    with simulator("--seed=1") as running:
        yield running.url


@pytest.fixture(scope="session")
def servers(cloud: str) -> list[tuple[str, str]]:
    """Return id and name of the servers of the cloud's first project."""
    return listed_servers(cloud)
