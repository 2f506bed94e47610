"""The machine's clock is set back by an hour and forward again, under the running exporter."""

import time
from pathlib import Path

import pytest

from tests.real.endurance import (
    FAULT_SECONDS,
    INTERVAL,
    LOGIN,
    Scrape,
    configuration,
    scrape,
    simulated_cloud,
)
from tests.real.programs import Program, exporter, until
from tests.real.rights import missing
from tests.real.standstill import unless_the_machine_stood_still

pytestmark = pytest.mark.alone

SIGNED = "plain"
PROJECTS = {LOGIN: 4, SIGNED: 4}
_NOTICED_SECONDS = 2.5
STEPS = ("-3600", "+0")


@unless_the_machine_stood_still
def test_a_clock_that_jumps_an_hour_costs_no_probe_that_needs_no_clock(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("+0")
    environ = {
        "LD_PRELOAD": _library(),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with simulated_cloud(tmp_path, PROJECTS) as cloud:
        config = tmp_path / "config.yaml"
        config.write_text(configuration(PROJECTS, cloud.url))
        with exporter(config, environ) as ours:
            until(lambda: scrape(ours.url).outcomes(LOGIN)["success"] >= PROJECTS[LOGIN], 10)
            for step in STEPS:
                offset.write_text(step)
                _assert_probed_on(ours, step)
        assert "Traceback" not in ours.output


def _assert_probed_on(ours: Program, step: str) -> None:
    # libfaketime looks for a new offset each second, the exporter for a clock that was set.
    time.sleep(_NOTICED_SECONDS)
    before, begun = scrape(ours.url), time.monotonic()
    time.sleep(FAULT_SECONDS + INTERVAL)
    after = scrape(ours.url)
    slots = (time.monotonic() - begun) / INTERVAL
    made = after.outcomes(LOGIN) - before.outcomes(LOGIN)
    assert set(made) == {"success"}, step
    assert slots - 2 < made["success"] / PROJECTS[LOGIN] < slots + 2, step
    # A signature an hour off is refused, and keys that were refused are not tried again for two
    # minutes. That is our fault, and turns no console red.
    assert set(after.outcomes(SIGNED) - before.outcomes(SIGNED)) == {"unauthorized"}, step
    assert _all_green(after), step


def _all_green(seen: Scrape) -> bool:
    return {
        value
        for project in PROJECTS
        for value in seen.each("console_probe_success", project).values()
    } == {1}


def _library() -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("libfaketime is not installed")
    return str(found[0])
