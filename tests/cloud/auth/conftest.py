"""What the tests of the logins share."""

from typing import TYPE_CHECKING

import pytest

from tests.cloud.auth.fake_iam import FakeIam, Observed

if TYPE_CHECKING:
    from tests.conftest import MovedClock


@pytest.fixture
def observed() -> Observed:
    """Return who counts the log-ins of a test."""
    return Observed()


@pytest.fixture
def iam(clock: "MovedClock") -> FakeIam:
    """Return an IAM that takes the password ``right``."""
    return FakeIam(clock)
