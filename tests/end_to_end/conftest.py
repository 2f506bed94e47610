"""The simulated cloud, in its own process."""

from collections.abc import Iterator

import pytest

from tests.real.programs import simulator
from tests.real.simulated_project import listed_servers


@pytest.fixture(scope="session")
def cloud() -> Iterator[str]:
    """Run a simulated cloud with the default scenario; yield its address."""
    with simulator("--seed=1") as running:
        yield running.url


@pytest.fixture(scope="session")
def servers(cloud: str) -> list[tuple[str, str]]:
    """Return the id and name of each server of the cloud's first project."""
    return listed_servers(cloud)
