"""One fleet for all browser tests, and a browser that is gone before other tests begin."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.simulated_fleet import Fleet, simulated_fleet
from tests.real.browser import chromium
from tests.real.programs import required

# Its default of 5 s is soon gone on a busy machine.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Run a fleet in which a few consoles are broken."""
    required("chromium")
    with simulated_fleet(tmp_path_factory.mktemp("fleet")) as view:
        view.settled()
        yield view


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Chromium. Its driver has an event loop of its own, so it must end with its module."""
    with chromium() as view:
        yield view
