"""Write log lines from a separate thread, so that a slow reader never blocks probes.

Standard error may be a pipe that nobody reads, a full disk or a closed pipe. Lines that cannot be
written are dropped and counted; a warning follows once writing works again.
"""

import os
import select
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread

import structlog

_QUEUED_BYTES_MAX = 1 << 20

log = structlog.get_logger(__name__)


class LogWriter:
    """A stream that queues lines and writes them to a file descriptor without blocking.

    ``on_lost`` is called for each line that is not written, from any thread.
    """

    def __init__(self, descriptor: int, on_lost: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_lost = on_lost
        self._unreported = 0
        self._lines: deque[bytes] = deque()
        self._queued_bytes = 0
        self._changed = Condition()
        Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        """Queue one line, or drop it if 1 MiB is queued already."""
        line = text.encode(errors="backslashreplace")
        with self._changed:
            if self._queued_bytes + len(line) <= _QUEUED_BYTES_MAX:
                self._lines.append(line)
                self._queued_bytes += len(line)
                self._changed.notify_all()
                return len(text)
            self._unreported += 1
        self._on_lost()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes queued lines."""

    def drain(self, seconds: float) -> None:
        """Wait until all lines are written, for at most ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queued_bytes, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines.popleft()
            written = _write_all(self._descriptor, line)
            with self._changed:
                self._queued_bytes -= len(line)
                self._unreported += not written
                unreported = self._unreported if written else 0
                self._unreported -= unreported
                self._changed.notify_all()
            if not written:
                self._on_lost()
            if unreported:
                log.warning("log messages lost", messages=unreported)


def _write_all(descriptor: int, line: bytes) -> bool:
    """Write a whole line; return whether it succeeded."""
    while line:
        try:
            line = line[os.write(descriptor, line) :]
        except BlockingIOError:
            # Another process that shares the pipe set it to non-blocking.
            select.select([], [descriptor], [])
        except OSError:
            return False
    return True
