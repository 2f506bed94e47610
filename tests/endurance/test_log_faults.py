"""Tests of an unwritable log: the disk is full, or the reader has exited or does not read.

Probing continues in every slot. Lost messages are counted, and logged once writing works again.
"""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.real.endurance import (
    FAULT_SECONDS,
    INTERVAL,
    THREADS_MAX,
    configuration,
    scrape,
    simulated_cloud,
)
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.privileges import require_root
from tests.real.process_resources import process_resources
from tests.real.programs import free_port, until

pytestmark = pytest.mark.alone

PROJECTS = {"plain": 30}
LOST = "console_exporter_log_messages_lost_total"
_PIPE_BYTES = 4096
_DISK_BYTES = 16 * 1024
_SLACK = 1.0


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cloud")
    with simulated_cloud(folder, PROJECTS) as cloud:
        path = folder / "config.yaml"
        path.write_text(configuration(PROJECTS, cloud.url))
        yield path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    require_root()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", tmp_path], check=True
    )
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@retry_if_machine_stalled
def test_a_full_disk_stops_no_probe_and_lost_messages_are_logged_later(
    config: Path, small_disk: Path
) -> None:
    path = small_disk / "log"
    with path.open("ab") as log, _serving(config, log.fileno()) as (process, address):
        until(lambda: scrape(address).total(LOST) > 0, 10)
        _assert_every_slot_is_probed(address)
        # Like a log rotation with copytruncate.
        os.truncate(path, 0)
        until(lambda: b"log messages lost" in path.read_bytes(), 30)
        # The disk fills up again within about a second, so the count continues.
        (event, *_) = [one for one in _events(path.read_bytes()) if "messages" in one]
        assert 0 < event["messages"] <= scrape(address).total(LOST)
        assert _exit_status(process) == 0


@retry_if_machine_stalled
def test_an_exited_reader_stops_no_probe(config: Path) -> None:
    reading, writing = os.pipe()
    with _serving(config, writing) as (process, address):
        os.close(writing)
        os.close(reading)
        until(lambda: scrape(address).total(LOST) > 0, 10)
        _assert_every_slot_is_probed(address)
        assert process_resources(process.pid).threads <= THREADS_MAX
        assert _exit_status(process) == 0


@retry_if_machine_stalled
def test_a_stalled_reader_stops_no_probe_and_gets_every_line_later(
    config: Path,
) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    with _serving(config, writing) as (process, address), os.fdopen(reading, "rb") as lines:
        os.close(writing)
        _assert_every_slot_is_probed(address)
        seen = scrape(address)
        assert seen.total("console_exporter_event_loop_lag_seconds") < _SLACK
        assert seen.total(LOST) == 0
        # The log has a complete line for every probe.
        written = seen.total("console_exporter_log_messages_total")
        for _ in range(int(written)):
            assert json.loads(lines.readline())["event"]
        # The pipe is full again; the exporter must still exit.
        time.sleep(INTERVAL)
        assert _exit_status(process) == 0


def _assert_every_slot_is_probed(address: str) -> None:
    """Assert that each server is probed once per interval for a while."""
    name = "console_probe_verdicts_total"
    before = scrape(address)
    time.sleep(FAULT_SECONDS + INTERVAL)
    after = scrape(address)
    earlier, later = before.each(name, "plain"), after.each(name, "plain")
    slots = (after.at - before.at) / INTERVAL
    counts = [later[server] - earlier.get(server, 0) for server in later]
    assert len(counts) == PROJECTS["plain"]
    assert all(slots - 2 < count < slots + 2 for count in counts), (slots, counts)
    assert set(after.outcomes("plain")) == {"success"}


def _events(log: bytes) -> list[dict[str, Any]]:
    """Return the events of all complete lines; a full disk cuts the last one."""
    events = []
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            events.append(json.loads(line))
    return events


@contextlib.contextmanager
def _serving(config: Path, stderr: int) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Run ``serve`` with one log line per probe on ``stderr``."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "exporter", "serve", f"--config.file={config}",
            f"--web.listen-address={address}", "--log.level=debug", "--log.format=json",
        ],
        stderr=stderr,
    )  # fmt: skip
    try:
        until(lambda: _is_up(address), 20)
        yield process, address
    finally:
        process.kill()
        process.wait()


def _is_up(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return scrape(address, timeout=1).total("console_exporter_targets") > 0
    return False


def _exit_status(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    return process.wait(5)
