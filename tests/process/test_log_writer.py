"""Log lines leave by a thread of their own: in order and whole, or counted as lost."""

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
    """A pipe that holds four lines."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)
        self.lost: SimpleQueue[None] = SimpleQueue()
        self.writer = LogWriter(self.writing, lambda: self.lost.put(None))

    def read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            found += os.read(self.reading, size - len(found))
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    # The writer's thread must have nothing left that it could write to another's file.
    Thread(target=_empty, args=(made.reading,), daemon=True).start()
    made.writer.drain(5)
    os.close(made.writing)


def _empty(reading: int) -> None:
    while os.read(reading, _MIB):
        pass
    os.close(reading)


def test_lines_come_in_order(pipe: Pipe) -> None:
    for number in range(100):
        pipe.writer.write(f"{number}\n")
    expected = "".join(f"{number}\n" for number in range(100)).encode()
    assert pipe.read(len(expected)) == expected
    assert pipe.lost.empty()


def test_nobody_waits_for_a_reader_and_a_mebibyte_waits_for_it(pipe: Pipe) -> None:
    started = time.monotonic()
    for _ in range(2000):
        pipe.writer.write(LINE)
    assert time.monotonic() - started < 5
    taken = 2000 - pipe.lost.qsize()
    assert _MIB - 6 * len(LINE) < taken * len(LINE) < _MIB + 6 * len(LINE)
    # Whole lines only, and all of those that were taken.
    assert pipe.read(taken * len(LINE)).decode() == LINE * taken


def test_what_was_lost_is_told_when_lines_leave_again(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2000):
        pipe.writer.write(LINE)
    pipe.read((2000 - pipe.lost.qsize()) * len(LINE))
    said = ""

    def told() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "log messages were lost" in said

    until(told, 30)
    assert str(pipe.lost.qsize()) in said


def test_a_reader_that_has_gone_costs_each_line_and_no_more() -> None:
    lost: SimpleQueue[None] = SimpleQueue()
    reading, writing = os.pipe()
    os.close(reading)
    writer = LogWriter(writing, lambda: lost.put(None))
    for _ in range(10):
        writer.write(LINE)
    until(lambda: lost.qsize() == 10, 30)
    os.close(writing)


def test_a_full_disk_costs_each_line_and_no_more() -> None:
    lost: SimpleQueue[None] = SimpleQueue()
    with Path("/dev/full").open("wb") as full:
        writer = LogWriter(full.fileno(), lambda: lost.put(None))
        writer.write(LINE)
        until(lambda: lost.qsize() == 1, 30)


def test_a_pipe_that_does_not_block_gets_every_line_too(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    for _ in range(100):
        pipe.writer.write(LINE)
    assert pipe.read(100 * len(LINE)).decode() == LINE * 100
    assert pipe.lost.empty()


def test_the_last_lines_are_waited_for_and_not_for_ever(pipe: Pipe) -> None:
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


def test_characters_that_cannot_be_written_are_escaped(pipe: Pipe) -> None:
    pipe.writer.write("a\udc80b\n")
    assert pipe.read(9) == b"a\\udc80b\n"


def test_it_serves_as_the_stream_of_the_log(pipe: Pipe) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log.configure(level="info", form="json", stream=pipe.writer)
        structlog.get_logger("exporter").info("it goes")
        assert b'"event": "it goes"' in os.read(pipe.reading, 4096)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
