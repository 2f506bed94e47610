"""Our own machine runs short, and clients do their worst: no console is turned, no slot is lost.

What each scene leaves behind is looked at where it ends: descriptors, connections, memory.
"""

import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest

from tests.real.endurance import FAULT_SECONDS, INTERVAL, LOGIN_PATIENCE, WITNESS, Stage
from tests.real.programs import until
from tests.real.rights import missing
from tests.real.standstill import unless_the_machine_stood_still

pytestmark = pytest.mark.alone

CROWD = 10_000
# So many at once at least, whatever limit we set ourselves.
_MANY = 200
_SPARE = 1000
_HALF_A_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nAccept: "
_SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n"
_SCRAPERS = 100
_BUFFER_BYTES = 2048
_PIECE = b"x" * 4096
_NONE_LEFT = 5
FAILURES = "console_probe_failures_total"
_HEADER_BYTES = 16 << 20
_GROWTH_BYTES_MAX = 8 << 20
_LINGER_NOT = struct.pack("ii", 1, 0)


@unless_the_machine_stood_still
def test_a_want_of_file_descriptors_turns_no_console(stage: Stage) -> None:
    before, held = stage.steady(), stage.hold()
    limit = resource.prlimit(stage.pid, resource.RLIMIT_NOFILE)
    # What is open stays open: probes on kept connections go on, nothing can be opened or accepted.
    resource.prlimit(stage.pid, resource.RLIMIT_NOFILE, (_NONE_LEFT, limit[1]))
    time.sleep(FAULT_SECONDS + INTERVAL)
    resource.prlimit(stage.pid, resource.RLIMIT_NOFILE, limit)
    stage.recover(dict.fromkeys(stage.projects, LOGIN_PATIENCE))
    after = stage.scrape()
    seen = {name: after.outcomes(name) - before.outcomes(name) for name in stage.projects}
    # Every probe of a console opens connections.
    assert seen[WITNESS]["internal_error"] > 0
    assert set().union(*seen.values()) <= {"internal_error", "unauthorized", "success"}
    for name in stage.projects:
        assert after.each(FAILURES, name) == before.each(FAILURES, name)
    stage.assert_nothing_left(held)


@unless_the_machine_stood_still
def test_ten_thousand_connections_idle_or_in_half_a_request_cost_no_probe(stage: Stage) -> None:
    _room_for_a_crowd(stage)
    stage.endure({}, meanwhile=_crowd(stage))


@unless_the_machine_stood_still
def test_scrapers_that_read_a_byte_a_second_or_leave_in_the_middle_cost_no_probe(
    stage: Stage,
) -> None:
    stage.endure({}, meanwhile=_bad_scrapers(stage))


@unless_the_machine_stood_still
def test_a_header_without_end_is_refused_and_not_kept(stage: Stage) -> None:
    before = stage.hold().resident_bytes
    refusal = _send_endless_header(stage)
    assert refusal == b"" or refusal.split()[1] in {b"400", b"431"}
    assert stage.hold().resident_bytes - before < _GROWTH_BYTES_MAX
    stage.endure({})


def _room_for_a_crowd(stage: Stage) -> None:
    """Let this process and the exporter have so many connections, or do without the test."""
    for pid in (os.getpid(), stage.pid):
        now, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        if most < CROWD + _SPARE:
            missing(f"a limit of {CROWD + _SPARE} open files is needed, and {most} is the most")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(now, CROWD + _SPARE), most))


@contextmanager
def _crowd(stage: Stage) -> Iterator[None]:
    """Hold ten thousand connections; half of them have begun a request and say no more."""
    crowd = []
    try:
        for _ in range(CROWD):
            crowd.append(_opened())
            # Nobody waits to be let in.
            crowd[-1].setblocking(False)
            crowd[-1].connect_ex(_address(stage))
        for one in crowd[::2]:
            # It may have been shown out already.
            with suppress(OSError):
                one.send(_HALF_A_REQUEST)
        until(lambda: stage.hold().sockets["ESTABLISHED"] >= _MANY, 10)
        yield
    finally:
        for one in crowd:
            one.close()


@contextmanager
def _bad_scrapers(stage: Stage) -> Iterator[None]:
    """Scrape and read a byte a second, a hundred at once, while others leave at the first byte."""
    slow = [_connected(stage, receive_buffer=_BUFFER_BYTES) for _ in range(_SCRAPERS)]
    ended = Event()

    def read() -> None:
        while not ended.wait(1):
            for one in slow:
                with suppress(OSError):
                    one.recv(1)

    def leave() -> None:
        while not ended.wait(0.05):
            with suppress(OSError), _connected(stage) as one:
                one.send(_SCRAPE)
                one.recv(1)

    threads = [Thread(target=read), Thread(target=leave)]
    try:
        for one in slow:
            one.send(_SCRAPE)
        for thread in threads:
            thread.start()
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(5)
        for one in slow:
            one.close()


def _send_endless_header(stage: Stage) -> bytes:
    """Send a header of 16 MiB, or as much of it as is taken; return the answer."""
    with _connected(stage) as one:
        with suppress(ConnectionError):
            one.send(b"GET / HTTP/1.1\r\nX-Long: ")
            for _ in range(_HEADER_BYTES // len(_PIECE)):
                one.send(_PIECE)
        with suppress(ConnectionError):
            return one.recv(4096)
    return b""


def _connected(stage: Stage, receive_buffer: int | None = None) -> socket.socket:
    one = _opened()
    one.settimeout(5)
    if receive_buffer is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.connect(_address(stage))
    return one


def _opened() -> socket.socket:
    """Return a socket that ends by a reset, so that no port of ours waits afterwards."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    return one


def _address(stage: Stage) -> tuple[str, int]:
    host, _, port = stage.ours.url.rpartition(":")
    return host, int(port)
