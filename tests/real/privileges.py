"""Skip a test that needs more rights than it has, or fail it in CI."""

import os
from typing import NoReturn

import pytest


def require_root() -> None:
    """Require root, which may mount file systems and create network namespaces."""
    if os.geteuid() != 0:
        skip_or_fail("this test needs root")


def skip_or_fail(what: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
