"""Test of a full disk for the state file: no state and no slot is lost."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.real.certificates import Certificates
from tests.real.endurance import (
    DEEP_PROJECT,
    LOGIN,
    Environment,
    configuration,
    scrape,
    simulated_cloud,
)
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.privileges import require_root
from tests.real.programs import exporter, until

pytestmark = pytest.mark.alone

PROJECTS = {"plain": 4, DEEP_PROJECT: 4, LOGIN: 4}
ATTEMPT = "console_probe_last_attempt_timestamp_seconds"
_DISK_BYTES = 1 << 20
# The state is written every three seconds.
_SETTLE, _WRITTEN_WITHIN = 4.0, 8.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    require_root()
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@retry_if_machine_stalled
def test_a_full_disk_stops_no_probe_and_state_is_written_later(
    tmp_path: Path, small_disk: Path
) -> None:
    # Remove files of an earlier attempt.
    for left in small_disk.iterdir():
        left.unlink()
    state = small_disk / "state"
    with simulated_cloud(tmp_path, PROJECTS) as cloud:
        config = tmp_path / "config.yaml"
        config.write_text(configuration(PROJECTS, cloud.url))
        flags = ("--log.format=json", f"--state.file={state}")
        with exporter(config, None, *flags) as ours:
            environment = Environment(ours, cloud, PROJECTS, {}, cloud, Certificates())
            environment.run_faults({}, settle=_SETTLE, meanwhile=_full(small_disk))
            assert "state file not written" in ours.output
            space_freed_at = time.time()
            until(lambda: _written(small_disk) > space_freed_at, _WRITTEN_WITHIN)
            ours.process.kill()
        ended = time.time()
        with exporter(config, None, *flags) as ours:
            seen = scrape(ours.url)
            for project, count in PROJECTS.items():
                attempts = seen.each(ATTEMPT, project)
                assert len(attempts) == count
                assert all(space_freed_at - 2 < at for at in attempts.values())
            assert min(seen.each(ATTEMPT, "plain").values()) < ended


def _written(disk: Path) -> float:
    return max(one.stat().st_mtime for one in disk.iterdir())


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    """Fill a disk until the block ends."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(os.urandom(4096)):
            pass
    try:
        yield
    finally:
        filler.unlink()
