"""A running exporter that the faults of a file strike one after the other."""

from collections.abc import Iterator

import pytest

from tests.real.endurance import LOGIN, WITNESS, Stage, stage


@pytest.fixture(scope="module", name="stage")
def running_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yield cloud and exporter, everything well."""
    with stage(tmp_path_factory.mktemp("stage"), {"plain": 8, WITNESS: 4, LOGIN: 4}) as running:
        yield running
