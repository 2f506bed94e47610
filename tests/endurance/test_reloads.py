"""The configuration is loaded over and over, while servers come and go."""

import itertools
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.real.certificates import Certificates
from tests.real.endurance import (
    FAULT_SECONDS,
    LOGIN,
    WITNESS,
    Stage,
    configuration,
    simulated_cloud,
)
from tests.real.programs import exporter
from tests.real.standstill import unless_the_machine_stood_still

pytestmark = pytest.mark.alone

STAYING = {"plain": 4, WITNESS: 4, LOGIN: 4}
COMING = {"guests": 6}
_EVERY = 0.5


@unless_the_machine_stood_still
def test_what_stays_loses_no_slot_while_others_come_and_go(tmp_path: Path) -> None:
    with simulated_cloud(tmp_path, STAYING | COMING) as cloud:
        config = tmp_path / "config.yaml"

        def write(guests: int) -> None:
            projects = STAYING | ({"guests": guests} if guests else {})
            # In one go, for it may be read at any moment.
            draft = config.with_suffix(".new")
            draft.write_text(configuration(projects, cloud.url))
            draft.replace(config)

        write(0)
        with exporter(config, None, "--log.format=json") as ours:
            stage = Stage(ours, cloud, STAYING, {}, cloud, Certificates())
            before, held = stage.steady(), stage.hold()
            give_up = time.monotonic() + 2 * FAULT_SECONDS
            for guests in itertools.cycle((6, 2, 0, 4)):
                if time.monotonic() > give_up and not guests:
                    break
                write(guests)
                _reload(ours.url)
                expected = sum(STAYING.values()) + guests
                assert stage.scrape().total("console_exporter_targets") == expected
                ours.process.send_signal(signal.SIGHUP)
                time.sleep(_EVERY)
            write(0)
            _reload(ours.url)
            after = stage.steady()
            for project in STAYING:
                stage.assert_untouched(project, before, after)
            # No series of who has gone stays behind.
            assert not [
                labels
                for samples in after.samples.values()
                for labels, _ in samples
                if labels.get("project") == "guests"
            ]
            stage.assert_nothing_left(held)


def _reload(address: str) -> None:
    httpx.post(f"http://{address}/-/reload", timeout=5).raise_for_status()
