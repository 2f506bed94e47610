"""Tests of exhausted descriptors and hostile clients: no verdict changes and no slot is lost.

Each test also checks for leaked descriptors, connections and memory.
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

from tests.real.endurance import (
    DEEP_PROJECT,
    FAULT_SECONDS,
    INTERVAL,
    LOGIN_RECOVERY_SECONDS,
    Environment,
)
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.privileges import skip_or_fail
from tests.real.programs import until

pytestmark = pytest.mark.alone

CONNECTIONS = 10_000
# The exporter holds at least this many connections at once.
_MANY = 200
_SPARE = 1000
_HALF_A_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nAccept: "
_SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n"
_SCRAPERS = 100
_BUFFER_BYTES = 2048
_PIECE = b"x" * 4096
_FEWER_THAN_OPEN = 5
FAILURES = "console_probe_failures_total"
_HEADER_BYTES = 16 << 20
_GROWTH_BYTES_MAX = 8 << 20
_NO_LINGER = struct.pack("ii", 1, 0)


@retry_if_machine_stalled
def test_exhausted_file_descriptors_change_no_verdict(environment: Environment) -> None:
    before, held = environment.steady(), environment.resources()
    limit = resource.prlimit(environment.pid, resource.RLIMIT_NOFILE)
    # Open connections continue to work; new ones can be neither opened nor accepted.
    resource.prlimit(environment.pid, resource.RLIMIT_NOFILE, (_FEWER_THAN_OPEN, limit[1]))
    time.sleep(FAULT_SECONDS + INTERVAL)
    resource.prlimit(environment.pid, resource.RLIMIT_NOFILE, limit)
    environment.recover(dict.fromkeys(environment.projects, LOGIN_RECOVERY_SECONDS))
    after = environment.scrape()
    seen = {name: after.outcomes(name) - before.outcomes(name) for name in environment.projects}
    # Every probe of a console page opens new connections.
    assert seen[DEEP_PROJECT]["internal_error"] > 0
    assert set().union(*seen.values()) <= {"internal_error", "unauthorized", "success"}
    for name in environment.projects:
        assert after.each(FAILURES, name) == before.each(FAILURES, name)
    environment.assert_no_leaks(held)


@retry_if_machine_stalled
def test_ten_thousand_idle_or_incomplete_connections_fail_no_probe(
    environment: Environment,
) -> None:
    _raise_descriptor_limits(environment)
    environment.run_faults({}, meanwhile=_idle_connections(environment))


@retry_if_machine_stalled
def test_slow_and_aborted_scrapes_fail_no_probe(
    environment: Environment,
) -> None:
    environment.run_faults({}, meanwhile=_bad_scrapers(environment))


@retry_if_machine_stalled
def test_an_endless_header_is_rejected_and_not_buffered(environment: Environment) -> None:
    before = environment.resources().resident_bytes
    response = _send_endless_header(environment)
    assert response == b"" or response.split()[1] in {b"400", b"431"}
    assert environment.resources().resident_bytes - before < _GROWTH_BYTES_MAX
    environment.run_faults({})


def _raise_descriptor_limits(environment: Environment) -> None:
    """Raise the limits of this process and the exporter, or skip the test."""
    for pid in (os.getpid(), environment.pid):
        now, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        if most < CONNECTIONS + _SPARE:
            skip_or_fail(
                f"a limit of {CONNECTIONS + _SPARE} open files is needed, and {most} is the most"
            )
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(now, CONNECTIONS + _SPARE), most))


@contextmanager
def _idle_connections(environment: Environment) -> Iterator[None]:
    """Hold ten thousand connections, half of them with an incomplete request."""
    connections = []
    try:
        for _ in range(CONNECTIONS):
            connections.append(_opened())
            # Do not wait for the connection to be accepted.
            connections[-1].setblocking(False)
            connections[-1].connect_ex(_address(environment))
        for one in connections[::2]:
            # The exporter may have closed it already.
            with suppress(OSError):
                one.send(_HALF_A_REQUEST)
        until(lambda: environment.resources().sockets["ESTABLISHED"] >= _MANY, 10)
        yield
    finally:
        for one in connections:
            one.close()


@contextmanager
def _bad_scrapers(environment: Environment) -> Iterator[None]:
    """Read a byte per second in a hundred scrapes, and abort others after the first byte."""
    slow = [_connected(environment, receive_buffer=_BUFFER_BYTES) for _ in range(_SCRAPERS)]
    ended = Event()

    def read() -> None:
        while not ended.wait(1):
            for one in slow:
                with suppress(OSError):
                    one.recv(1)

    def abort() -> None:
        while not ended.wait(0.05):
            with suppress(OSError), _connected(environment) as one:
                one.send(_SCRAPE)
                one.recv(1)

    threads = [Thread(target=read), Thread(target=abort)]
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


def _send_endless_header(environment: Environment) -> bytes:
    """Send up to 16 MiB of a header; return the response."""
    with _connected(environment) as one:
        with suppress(ConnectionError):
            one.send(b"GET / HTTP/1.1\r\nX-Long: ")
            for _ in range(_HEADER_BYTES // len(_PIECE)):
                one.send(_PIECE)
        with suppress(ConnectionError):
            return one.recv(4096)
    return b""


def _connected(environment: Environment, receive_buffer: int | None = None) -> socket.socket:
    one = _opened()
    one.settimeout(5)
    if receive_buffer is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.connect(_address(environment))
    return one


def _opened() -> socket.socket:
    """Return a socket that closes with a reset, so that no port stays in TIME_WAIT."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    return one


def _address(environment: Environment) -> tuple[str, int]:
    host, _, port = environment.ours.url.rpartition(":")
    return host, int(port)
