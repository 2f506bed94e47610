"""What only root may do here: mount, and networks of one's own."""

import os

import pytest


def as_root() -> None:
    """Go on as root only; others skip the test, and fail it in CI."""
    if os.geteuid() == 0:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("this test needs root")
    pytest.skip("this test needs root")
