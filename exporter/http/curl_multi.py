"""Run libcurl transfers on the event loop.

pycurl's own `AsyncCurlMulti` does the same, but removes each handle when its transfer ends, which
closes the connection of a ``CONNECT_ONLY`` transfer, and costs more per transfer.
"""

import asyncio
from contextlib import suppress
from typing import Final

import pycurl

_OK: Final = 0
CLOSED: Final = (pycurl.E_FAILED_INIT, "the connections are closed")
"""How a transfer ends when the connections are closed under it."""


class CurlMulti:
    """A pool of connections, and the transfers that use them.

    Must be created and used in one running event loop.
    """

    def __init__(self, *, kept_connections: int) -> None:
        """Keep at most ``kept_connections`` idle connections open."""
        self._loop = asyncio.get_running_loop()
        self._done: dict[pycurl.Curl, asyncio.Future[tuple[int, str]]] = {}
        self._timer: asyncio.Handle | None = None
        self._readers: set[int] = set()
        self._writers: set[int] = set()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, kept_connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    def start(self, curl: pycurl.Curl) -> "asyncio.Future[tuple[int, str]]":
        """Start a transfer; the future holds libcurl's code (0 for success) and its message.

        The handle stays in the pool until `remove`.
        """
        done: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        if self.closed:
            done.set_result(CLOSED)
            return done
        self._done[curl] = done
        self._multi.add_handle(curl)
        # At once, so that the request leaves in this iteration of the loop.
        self._drive(pycurl.SOCKET_TIMEOUT, 0)
        return done

    def remove(self, curl: pycurl.Curl) -> None:
        """Remove a handle; a transfer that has not ended is aborted with its connection."""
        done = self._done.pop(curl, None)
        if done is not None:
            done.cancel()
        with suppress(pycurl.error):
            self._multi.remove_handle(curl)

    @property
    def closed(self) -> bool:
        """Return whether `close` was called."""
        return bool(self._multi.closed)

    def close(self) -> None:
        """End all transfers with `CLOSED`, and close all connections."""
        for curl, done in list(self._done.items()):
            if not done.done():
                done.set_result(CLOSED)
            self.remove(curl)
        if self._timer is not None:
            self._timer.cancel()
        self._multi.close()
        for fd in list(self._readers):
            self._loop.remove_reader(fd)
        for fd in list(self._writers):
            self._loop.remove_writer(fd)

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what & pycurl.POLL_IN and what != pycurl.POLL_REMOVE:
            if fd not in self._readers:
                self._readers.add(fd)
                self._loop.add_reader(fd, self._drive, fd, pycurl.CSELECT_IN)
        elif fd in self._readers:
            self._readers.discard(fd)
            self._loop.remove_reader(fd)
        if what & pycurl.POLL_OUT and what != pycurl.POLL_REMOVE:
            if fd not in self._writers:
                self._writers.add(fd)
                self._loop.add_writer(fd, self._drive, fd, pycurl.CSELECT_OUT)
        elif fd in self._writers:
            self._writers.discard(fd)
            self._loop.remove_writer(fd)

    def _on_timer(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if milliseconds >= 0:
            self._timer = self._loop.call_later(milliseconds / 1000, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._drive(pycurl.SOCKET_TIMEOUT, 0)

    def _drive(self, fd: int, events: int) -> None:
        _, running = self._multi.socket_action(fd, events)
        # What was kept for CONNECT_ONLY has ended, and is in neither number.
        if running < len(self._done):
            self._collect()

    def _collect(self) -> None:
        while True:
            queued, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                self._end(curl, _OK, "")
            for curl, code, message in failed:
                self._end(curl, code, message)
            if not queued:
                return

    def _end(self, curl: pycurl.Curl, code: int, message: str) -> None:
        done = self._done.pop(curl, None)
        if done is not None and not done.done():
            done.set_result((code, message))
