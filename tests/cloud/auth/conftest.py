"""Fixtures of the login tests."""

from typing import TYPE_CHECKING

import pytest

from tests.cloud.auth.fake_iam import CountingObserver, FakeIam

if TYPE_CHECKING:
    from tests.conftest import FakeClock


@pytest.fixture
def observer() -> CountingObserver:
    """Return an observer that counts logins."""
    return CountingObserver()


@pytest.fixture
def iam(clock: "FakeClock") -> FakeIam:
    """Return an IAM that accepts the password ``right``."""
    return FakeIam(clock)
