"""A running exporter and cloud, shared by the faults of a test file."""

from collections.abc import Iterator

import pytest

from tests.real.endurance import DEEP_PROJECT, LOGIN, Environment, environment


@pytest.fixture(scope="module", name="environment")
def running_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Run a cloud and an exporter without faults."""
    with environment(
        tmp_path_factory.mktemp("stage"), {"plain": 8, DEEP_PROJECT: 4, LOGIN: 4}
    ) as running:
        yield running
