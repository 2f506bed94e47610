"""Write log lines from a thread of its own, so that no probe waits for who reads them.

Standard error may be a pipe that nobody empties, a full disk or a reader that has gone. What cannot
be written is dropped and counted; what is said of it comes when there is somebody to say it to.
"""

import os
import select
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread

import structlog

_HELD_BYTES_MAX = 1 << 20

log = structlog.get_logger(__name__)


class LogWriter:
    """A stream of lines into a file descriptor that takes them without waiting."""

    def __init__(self, descriptor: int, lost: Callable[[], None]) -> None:
        """Write to ``descriptor``; ``lost`` is told of each line that is not written.

        ``lost`` is called from any thread.
        """
        self._descriptor = descriptor
        self._lost = lost
        self._untold = 0
        self._lines: deque[bytes] = deque()
        self._held = 0
        self._changed = Condition()
        Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        """Take one line, or drop it when a mebibyte waits already."""
        line = text.encode(errors="backslashreplace")
        with self._changed:
            if self._held + len(line) <= _HELD_BYTES_MAX:
                self._lines.append(line)
                self._held += len(line)
                self._changed.notify_all()
                return len(text)
            self._untold += 1
        self._lost()
        return len(text)

    def flush(self) -> None:
        """Do nothing: lines leave by themselves."""

    def drain(self, seconds: float) -> None:
        """Wait until all lines are written, for so long at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines.popleft()
            written = _written(self._descriptor, line)
            with self._changed:
                self._held -= len(line)
                self._untold += not written
                untold = self._untold if written else 0
                self._untold -= untold
                self._changed.notify_all()
            if not written:
                self._lost()
            if untold:
                log.warning("log messages were lost: nobody took them", messages=untold)


def _written(descriptor: int, line: bytes) -> bool:
    """Write a line whole; return whether it could be."""
    while line:
        try:
            line = line[os.write(descriptor, line) :]
        except BlockingIOError:
            # Somebody who shares the pipe made it so.
            select.select([], [descriptor], [])
        except OSError:
            return False
    return True
