"""Log lines are written by a thread: whole and in order, or counted as lost."""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import pytest
import structlog

from exporter.process import log
from exporter.process.log_writer import LogWriter
from tests.real.programs import until

LINE = "x" * 999 + "\n"
_MIB = 1 << 20


class Pipe:
    """A pipe with a capacity of four lines, and a writer to it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)
        self.lost: SimpleQueue[None] = SimpleQueue()
        self.writer = LogWriter(self.writing, lambda: self.lost.put(None))

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.read(self.reading, size - len(data))
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    # Empty the writer's queue, so that it cannot write to a reused file descriptor.
    Thread(target=_read_all, args=(pipe.reading,), daemon=True).start()
    pipe.writer.drain(5)
    os.close(pipe.writing)


def _read_all(reading: int) -> None:
    while os.read(reading, _MIB):
        pass
    os.close(reading)


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    for number in range(100):
        pipe.writer.write(f"{number}\n")
    expected = "".join(f"{number}\n" for number in range(100)).encode()
    assert pipe.read(len(expected)) == expected
    assert pipe.lost.empty()


def test_writing_never_blocks_and_one_mebibyte_is_queued(pipe: Pipe) -> None:
    started = time.monotonic()
    for _ in range(2000):
        pipe.writer.write(LINE)
    assert time.monotonic() - started < 5
    accepted = 2000 - pipe.lost.qsize()
    assert _MIB - 6 * len(LINE) < accepted * len(LINE) < _MIB + 6 * len(LINE)
    # Only whole lines, and all accepted lines.
    assert pipe.read(accepted * len(LINE)).decode() == LINE * accepted


def test_lost_lines_are_logged_when_writing_works_again(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2000):
        pipe.writer.write(LINE)
    pipe.read((2000 - pipe.lost.qsize()) * len(LINE))
    output = ""

    def logged() -> bool:
        nonlocal output
        output += capsys.readouterr().out
        return "log messages lost" in output

    until(logged, 30)
    assert str(pipe.lost.qsize()) in output


def test_closed_pipe_loses_each_line_once() -> None:
    lost: SimpleQueue[None] = SimpleQueue()
    reading, writing = os.pipe()
    os.close(reading)
    writer = LogWriter(writing, lambda: lost.put(None))
    for _ in range(10):
        writer.write(LINE)
    until(lambda: lost.qsize() == 10, 30)
    os.close(writing)


def test_full_disk_loses_each_line_once() -> None:
    lost: SimpleQueue[None] = SimpleQueue()
    with Path("/dev/full").open("wb") as full:
        writer = LogWriter(full.fileno(), lambda: lost.put(None))
        writer.write(LINE)
        until(lambda: lost.qsize() == 1, 30)


def test_non_blocking_pipe_receives_every_line(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    for _ in range(100):
        pipe.writer.write(LINE)
    assert pipe.read(100 * len(LINE)).decode() == LINE * 100
    assert pipe.lost.empty()


def test_drain_waits_for_the_last_lines_with_a_timeout(pipe: Pipe) -> None:
    pipe.writer.write("the last\n")
    pipe.writer.drain(5)
    os.set_blocking(pipe.reading, False)
    assert os.read(pipe.reading, 100) == b"the last\n"
    for _ in range(100):
        pipe.writer.write(LINE)
    started = time.monotonic()
    pipe.writer.drain(0.1)
    assert 0.1 <= time.monotonic() - started < 5
    os.set_blocking(pipe.reading, True)


def test_characters_that_cannot_be_encoded_are_escaped(pipe: Pipe) -> None:
    pipe.writer.write("a\udc80b\n")
    assert pipe.read(9) == b"a\\udc80b\n"


def test_writer_is_usable_as_log_stream(pipe: Pipe) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log.configure(level="info", form="json", stream=pipe.writer)
        structlog.get_logger("exporter").info("started")
        assert b'"event": "started"' in os.read(pipe.reading, 4096)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
