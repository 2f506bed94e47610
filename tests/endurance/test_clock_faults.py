"""Test of a running exporter while the system clock is set back an hour and forward again."""

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
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.privileges import skip_or_fail
from tests.real.programs import Program, exporter, until

pytestmark = pytest.mark.alone

SIGNED = "plain"
PROJECTS = {LOGIN: 4, SIGNED: 4}
_DETECTED_SECONDS = 2.5
STEPS = ("-3600", "+0")


@retry_if_machine_stalled
def test_a_clock_step_of_an_hour_fails_no_probe_that_uses_a_token(tmp_path: Path) -> None:
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
                _assert_probing_continues(ours, step)
        assert "Traceback" not in ours.output


def _assert_probing_continues(ours: Program, step: str) -> None:
    # Both libfaketime and the exporter check for clock changes once a second.
    time.sleep(_DETECTED_SECONDS)
    before, started = scrape(ours.url), time.monotonic()
    time.sleep(FAULT_SECONDS + INTERVAL)
    after = scrape(ours.url)
    slots = (time.monotonic() - started) / INTERVAL
    results = after.outcomes(LOGIN) - before.outcomes(LOGIN)
    assert set(results) == {"success"}, step
    assert slots - 2 < results["success"] / PROJECTS[LOGIN] < slots + 2, step
    # A signature with a wrong time is rejected, and rejected keys are not used for two minutes.
    # Such probes are inconclusive.
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
        skip_or_fail("libfaketime is not installed")
    return str(found[0])
