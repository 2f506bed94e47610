"""One fleet for all browser tests, and a browser for each module."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.simulated_fleet import Fleet, simulated_fleet
from tests.real.browser import chromium
from tests.real.programs import required

# The default of 5 s is too short on a busy machine.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Run a fleet in which a few consoles are broken."""
    required("chromium")
    with simulated_fleet(tmp_path_factory.mktemp("fleet")) as running:
        running.wait_until_probed()
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Chromium until the module ends, because its driver runs an event loop of its own."""
    with chromium() as running:
        yield running
