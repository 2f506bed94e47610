"""Hypothesis settings: few examples by default, more if the environment says so.

    HOSTILE_EXAMPLES=20 python -m pytest tests/hostile      # twenty times as many examples

A long run reports a failing example as found, without shrinking it, which would take longer than
the run. It prints the decorator that reproduces the example.
"""

import os

from hypothesis import HealthCheck, Phase, settings

_FACTOR = int(os.environ.get("HOSTILE_EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Return the settings of a test with this number of examples by default."""
    return settings(
        max_examples=count * _FACTOR,
        deadline=None,
        print_blob=True,
        phases=[phase for phase in Phase if phase is not Phase.shrink or _FACTOR == 1],
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
