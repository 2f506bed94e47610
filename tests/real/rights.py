"""What a test needs of the machine: without it a test is skipped, and fails in CI."""

import os
from typing import NoReturn

import pytest


def as_root() -> None:
    """Go on as root only, who may mount and have a network apart."""
    if os.geteuid() != 0:
        missing("this test needs root")


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
