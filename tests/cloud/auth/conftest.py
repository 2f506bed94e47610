"""What the tests of the logins share."""

from typing import TYPE_CHECKING

import pytest

from tests.cloud.auth.simulated_iam import Observed, PretendIam

if TYPE_CHECKING:
    from tests.conftest import MovedClock


@pytest.fixture
def observed() -> Observed:
    """Return who counts the log-ins of a test."""
    return Observed()


@pytest.fixture
def iam(clock: "MovedClock") -> PretendIam:
    """Return an IAM that takes the password ``right``."""
    return PretendIam(clock)
