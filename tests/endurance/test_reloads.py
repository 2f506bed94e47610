"""Test of repeated reloads that add and remove servers."""

import itertools
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.real.certificates import Certificates
from tests.real.endurance import (
    DEEP_PROJECT,
    FAULT_SECONDS,
    LOGIN,
    Environment,
    configuration,
    simulated_cloud,
)
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.programs import exporter

pytestmark = pytest.mark.alone

KEPT_PROJECTS = {"plain": 4, DEEP_PROJECT: 4, LOGIN: 4}
CHANGING_PROJECTS = {"guests": 6}
_EVERY = 0.5


@retry_if_machine_stalled
def test_unchanged_servers_lose_no_slot_during_reloads(tmp_path: Path) -> None:
    with simulated_cloud(tmp_path, KEPT_PROJECTS | CHANGING_PROJECTS) as cloud:
        config = tmp_path / "config.yaml"

        def write(guests: int) -> None:
            projects = KEPT_PROJECTS | ({"guests": guests} if guests else {})
            # Replaced atomically, because the file may be read at any time.
            draft = config.with_suffix(".new")
            draft.write_text(configuration(projects, cloud.url))
            draft.replace(config)

        write(0)
        with exporter(config, None, "--log.format=json") as ours:
            environment = Environment(ours, cloud, KEPT_PROJECTS, {}, cloud, Certificates())
            before, held = environment.steady(), environment.resources()
            deadline = time.monotonic() + 2 * FAULT_SECONDS
            for guests in itertools.cycle((6, 2, 0, 4)):
                if time.monotonic() > deadline and not guests:
                    break
                write(guests)
                _reload(ours.url)
                expected = sum(KEPT_PROJECTS.values()) + guests
                assert environment.scrape().total("console_exporter_targets") == expected
                ours.process.send_signal(signal.SIGHUP)
                time.sleep(_EVERY)
            write(0)
            _reload(ours.url)
            after = environment.steady()
            for project in KEPT_PROJECTS:
                environment.assert_unaffected(project, before, after)
            # Series of removed servers are gone.
            assert not [
                labels
                for samples in after.samples.values()
                for labels, _ in samples
                if labels.get("project") == "guests"
            ]
            environment.assert_no_leaks(held)


def _reload(address: str) -> None:
    httpx.post(f"http://{address}/-/reload", timeout=5).raise_for_status()
