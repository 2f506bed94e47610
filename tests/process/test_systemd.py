"""systemd integration: inherited sockets, notifications and the watchdog."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.process.systemd import InheritedSocketError, Notifier, inherited_sockets
from tests.conftest import FakeClock

PID = str(os.getpid())


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        yield receiver


def received(receiver: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(receiver.recv(4096).decode())
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
def test_sockets_of_another_process_are_ignored(environ: dict[str, str]) -> None:
    assert inherited_sockets(environ) == []


def test_too_many_sockets_are_an_error_and_the_variables_are_removed() -> None:
    environ = {"LISTEN_FDS": "1000000", "LISTEN_PID": PID, "LISTEN_FDNAMES": "a", "X": "y"}
    with pytest.raises(InheritedSocketError, match="the maximum is 64"):
        inherited_sockets(environ)
    assert environ == {"X": "y"}


def test_notifications_follow_the_systemd_protocol(
    receiver: socket.socket, clock: FakeClock
) -> None:
    environ = {"NOTIFY_SOCKET": str(receiver.getsockname())}
    systemd = Notifier(environ, clock)
    systemd.ready("3 servers\nSTOPPING=1")
    systemd.reloading()
    systemd.stopping()
    assert received(receiver) == [
        "READY=1\nSTATUS=3 servers STOPPING=1",
        "RELOADING=1\nMONOTONIC_USEC=1000000000",
        "STOPPING=1\nSTATUS=waiting for running probes to finish",
    ]
    # Child processes must not send notifications.
    assert environ == {}


async def test_watchdog_notifications_are_sent_twice_per_timeout(
    receiver: socket.socket, clock: FakeClock
) -> None:
    environ = {
        "NOTIFY_SOCKET": str(receiver.getsockname()),
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": PID,
    }
    keep_alive = asyncio.create_task(Notifier(environ, clock).keep_alive())
    await clock.advance(60)
    assert received(receiver) == ["WATCHDOG=1"] * 5
    keep_alive.cancel()


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}],
)
async def test_watchdog_notifications_are_sent_only_if_expected(
    receiver: socket.socket, clock: FakeClock, watchdog: dict[str, str]
) -> None:
    environ = {"NOTIFY_SOCKET": str(receiver.getsockname()), **watchdog}
    await asyncio.wait_for(Notifier(environ, clock).keep_alive(), 1)
    assert received(receiver) == []


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_without_a_local_socket_nothing_is_sent(clock: FakeClock, address: str) -> None:
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": address}, clock).ready("3 servers")
    assert logs == []


def test_missing_socket_is_logged_as_a_warning(clock: FakeClock, tmp_path: Path) -> None:
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, clock).ready("3 servers")
    assert [entry["log_level"] for entry in logs] == ["warning"]
