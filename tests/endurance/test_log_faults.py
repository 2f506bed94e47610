"""Nobody takes the log any more: the disk is full, the reader has gone, or does not read.

Probing goes on in every slot. What is lost is counted, and told when somebody reads again.
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
from tests.real.holdings import holdings
from tests.real.programs import free_port, until
from tests.real.rights import as_root
from tests.real.standstill import unless_the_machine_stood_still

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
    as_root()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", tmp_path], check=True
    )
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@unless_the_machine_stood_still
def test_a_full_disk_stops_no_probe_and_is_told_when_there_is_room_again(
    config: Path, small_disk: Path
) -> None:
    path = small_disk / "log"
    with path.open("ab") as log, _serving(config, log.fileno()) as (process, address):
        until(lambda: scrape(address).total(LOST) > 0, 10)
        _every_slot_is_kept(address)
        # As a rotation does that keeps the file.
        os.truncate(path, 0)
        until(lambda: b"log messages were lost" in path.read_bytes(), 30)
        # The count goes on, for there is room for a second or so.
        (told, *_) = [event for event in _events(path.read_bytes()) if "messages" in event]
        assert 0 < told["messages"] <= scrape(address).total(LOST)
        assert _stopped(process) == 0


@unless_the_machine_stood_still
def test_a_reader_that_has_gone_stops_no_probe(config: Path) -> None:
    reading, writing = os.pipe()
    with _serving(config, writing) as (process, address):
        os.close(writing)
        os.close(reading)
        until(lambda: scrape(address).total(LOST) > 0, 10)
        _every_slot_is_kept(address)
        assert holdings(process.pid).threads <= THREADS_MAX
        assert _stopped(process) == 0


@unless_the_machine_stood_still
def test_a_reader_that_does_not_read_stops_no_probe_and_gets_every_line_later(
    config: Path,
) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    with _serving(config, writing) as (process, address), os.fdopen(reading, "rb") as lines:
        os.close(writing)
        _every_slot_is_kept(address)
        seen = scrape(address)
        assert seen.total("console_exporter_event_loop_lag_seconds") < _SLACK
        assert seen.total(LOST) == 0
        # The log has a line for every probe; all of them came, and whole.
        written = seen.total("console_exporter_log_messages_total")
        for _ in range(int(written)):
            assert json.loads(lines.readline())["event"]
        # Full again: nothing keeps it from ending.
        time.sleep(INTERVAL)
        assert _stopped(process) == 0


def _every_slot_is_kept(address: str) -> None:
    """Watch for a while: each server is probed once in each interval, in time."""
    name = "console_probe_verdicts_total"
    before = scrape(address)
    time.sleep(FAULT_SECONDS + INTERVAL)
    after = scrape(address)
    was, now = before.each(name, "plain"), after.each(name, "plain")
    slots = (after.at - before.at) / INTERVAL
    made = [now[server] - was.get(server, 0) for server in now]
    assert len(made) == PROJECTS["plain"]
    assert all(slots - 2 < count < slots + 2 for count in made), (slots, made)
    assert set(after.outcomes("plain")) == {"success"}


def _events(log: bytes) -> list[dict[str, Any]]:
    """Return the events of all whole lines: a disk that fills up cuts one short."""
    events = []
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            events.append(json.loads(line))
    return events


@contextlib.contextmanager
def _serving(config: Path, stderr: int) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Run ``serve`` with a line for each probe into ``stderr``."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "exporter", "serve", f"--config.file={config}",
            f"--web.listen-address={address}", "--log.level=debug", "--log.format=json",
        ],
        stderr=stderr,
    )  # fmt: skip
    try:
        until(lambda: _answers(address), 20)
        yield process, address
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return scrape(address, timeout=1).total("console_exporter_targets") > 0
    return False


def _stopped(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    return process.wait(5)
