"""How hard to try: quick by default, long where the environment asks for it.

    HOSTILE_EXAMPLES=20 python -m pytest tests/hostile      # twenty times as many examples

A long run tells what it found as it found it, and does not look for a simpler example: that would
take longer than the run. It prints what to decorate the test with, to have that example again.
"""

import os

from hypothesis import HealthCheck, Phase, settings

_FACTOR = int(os.environ.get("HOSTILE_EXAMPLES", "1"))


def effort(examples: int) -> settings:
    """Return the settings of a test of so many examples by default."""
    return settings(
        max_examples=examples * _FACTOR,
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
