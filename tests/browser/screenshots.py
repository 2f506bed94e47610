"""Take the screenshots of the README: ``python -m tests.browser.screenshots``."""

import tempfile
import time
from pathlib import Path

import httpx

from tests.browser.simulated_fleet import Fleet, simulated_fleet
from tests.real.browser import DESK, PHONE, chromium, open_page

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
_PICTURES = (
    ("fleet-light", "", DESK, False),
    ("fleet-dark", "", DESK, True),
    ("fleet-phone", "", PHONE, False),
    ("server-light", "queue-03", (1280, 1120), False),
    ("server-dark", "web-05", (1280, 1120), True),
    ("server-phone", "queue-03", PHONE, True),
)


def main() -> None:
    """Run a fleet for a while, then take all screenshots."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        simulated_fleet(Path(folder), east="east", more=()) as fleet,
    ):
        fleet.wait_until_probed()
        time.sleep(15)
        _throttle(fleet)
        time.sleep(8)
        _take_screenshots(fleet)


def _throttle(fleet: Fleet) -> None:
    """Reduce a project's quota below its request rate."""
    httpx.put(
        f"{fleet.cloud}/simulator/quota/east",
        json={"limit": 3, "window": 1, "kind": "token_bucket"},
    ).raise_for_status()


def _take_screenshots(fleet: Fleet) -> None:
    with chromium() as browser:
        for name, server, size, dark in _PICTURES:
            with open_page(browser, size, dark=dark) as one:
                project = "east" if server == "queue-03" else "southwest"
                one.page.goto(fleet.server(server, project) if server else fleet.url)
                one.page.wait_for_selector(".live")
                path = FOLDER / f"{name}.png"
                one.page.screenshot(path=path)
                print(f"{path.name}: {path.stat().st_size // 1000} kB", *one.errors)  # noqa: T201


if __name__ == "__main__":
    main()
