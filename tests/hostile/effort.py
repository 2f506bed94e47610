"""How hard to try: quick by default, long where the environment asks for it.

    HOSTILE_EXAMPLES=20 python -m pytest tests/hostile      # twenty times as many examples

Every strategy is bounded, and so is what a single example may take. `make fuzz` is the long run.
"""

import os

from hypothesis import HealthCheck, settings

_FACTOR = int(os.environ.get("HOSTILE_EXAMPLES", "1"))


def effort(examples: int) -> settings:
    """Return the settings of a test of so many examples by default."""
    return settings(
        max_examples=examples * _FACTOR,
        deadline=None,
        print_blob=True,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
