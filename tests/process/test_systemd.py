"""systemd's side of the program: sockets taken over, steps told, signs of life."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.process.systemd import InheritedSocketError, Notifier, inherited_sockets
from tests.conftest import MovedClock

PID = str(os.getpid())


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.setblocking(False)
        yield told


def heard(told: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(told.recv(4096).decode())
        except BlockingIOError:
            return messages


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "x", "LISTEN_PID": PID},
        {"LISTEN_FDS": "0", "LISTEN_PID": PID},
    ],
)
def test_sockets_of_another_process_are_left_alone(environ: dict[str, str]) -> None:
    assert inherited_sockets(environ) == []


def test_too_many_sockets_are_a_mistake_and_the_variables_are_dropped() -> None:
    environ = {"LISTEN_FDS": "1000000", "LISTEN_PID": PID, "LISTEN_FDNAMES": "a", "X": "y"}
    with pytest.raises(InheritedSocketError, match="64 are the most"):
        inherited_sockets(environ)
    assert environ == {"X": "y"}


def test_steps_are_told_as_systemd_wants_them(told: socket.socket, clock: MovedClock) -> None:
    environ = {"NOTIFY_SOCKET": str(told.getsockname())}
    systemd = Notifier(environ, clock)
    systemd.ready("3 servers\nSTOPPING=1")
    systemd.reloading()
    systemd.stopping()
    assert heard(told) == [
        "READY=1\nSTATUS=3 servers STOPPING=1",
        "RELOADING=1\nMONOTONIC_USEC=1000000000",
        "STOPPING=1\nSTATUS=letting running probes end",
    ]
    # No child shall answer for us.
    assert environ == {}


async def test_signs_of_life_come_twice_in_the_time_that_systemd_waits(
    told: socket.socket, clock: MovedClock
) -> None:
    environ = {
        "NOTIFY_SOCKET": str(told.getsockname()),
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": PID,
    }
    beating = asyncio.create_task(Notifier(environ, clock).keep_alive())
    await clock.advance(60)
    assert heard(told) == ["WATCHDOG=1"] * 5
    beating.cancel()


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}],
)
async def test_signs_of_life_are_given_only_when_asked_for(
    told: socket.socket, clock: MovedClock, watchdog: dict[str, str]
) -> None:
    environ = {"NOTIFY_SOCKET": str(told.getsockname()), **watchdog}
    await asyncio.wait_for(Notifier(environ, clock).keep_alive(), 1)
    assert heard(told) == []


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_without_a_socket_of_this_machine_nobody_is_told(clock: MovedClock, address: str) -> None:
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": address}, clock).ready("3 servers")
    assert logs == []


def test_a_socket_that_is_gone_is_a_warning(clock: MovedClock, tmp_path: Path) -> None:
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, clock).ready("3 servers")
    assert [one["log_level"] for one in logs] == ["warning"]
