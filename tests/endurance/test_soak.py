"""A short `make soak`: for a minute nothing leaks, drifts or is lost."""

from pathlib import Path

import pytest

from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.soak import SoakSpec, slope, soak

pytestmark = pytest.mark.alone

_SPEC = SoakSpec(rate=50, seconds=40, warm_up=6, period=5)
_GROWTH_BYTES_MAX = 16e6


@retry_if_machine_stalled
def test_a_minute_of_faults_loses_no_slot_and_leaks_nothing(tmp_path: Path) -> None:
    soaked = soak(tmp_path, _SPEC)
    first, last = soaked.marks[0], soaked.marks[-1]
    assert len(soaked.marks) >= 5
    assert last.resident_bytes - first.resident_bytes < _GROWTH_BYTES_MAX
    assert last.files <= first.files
    assert abs(soaked.unaccounted) <= _SPEC.rate + soaked.in_progress
    assert "Traceback" not in soaked.log


def test_the_slope_of_linear_growth_is_exact() -> None:
    growth, error = slope([(hour / 60, 50e6 + 1e6 * hour / 60) for hour in range(60)])
    assert abs(growth - 1e6) < 1
    assert error < 1


def test_the_slope_of_oscillation_is_less_than_its_error() -> None:
    growth, error = slope([(hour / 60, 50e6 + 1e5 * (-1) ** hour) for hour in range(60)])
    assert abs(growth) < 2 * error
