"""systemd integration: socket activation, service notifications and the watchdog.

Implements the stable protocols of sd_listen_fds(3) and sd_notify(3) without a library.
"""

import contextlib
import os
import socket
import stat
from collections.abc import MutableMapping

import structlog

from exporter.clock import Clock

_FIRST_FD = 3
_FDS_MAX = 64
_STATUS_MAX = 256

log = structlog.get_logger(__name__)


class InheritedSocketError(Exception):
    """A socket from systemd cannot be used; the message says what to change in the unit."""


def inherited_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets that systemd passed to this process.

    Removes the variables that describe them, so that child processes do not use the sockets.
    Raises `InheritedSocketError`.
    """
    pid, count = environ.get("LISTEN_PID"), environ.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isascii() or not count.isdigit():
        return []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    if int(count) > _FDS_MAX:
        raise InheritedSocketError(f"systemd passed {count} sockets; the maximum is {_FDS_MAX}")
    with contextlib.ExitStack() as opened:
        sockets = [
            opened.enter_context(_listening_socket(fd))
            for fd in range(_FIRST_FD, _FIRST_FD + int(count))
        ]
        opened.pop_all()
    return sockets


def _listening_socket(fd: int) -> socket.socket:
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise InheritedSocketError(f"file descriptor {fd} from systemd is not a socket")
        os.set_inheritable(fd, False)
        listener = socket.socket(fileno=fd)
    except OSError as error:
        raise InheritedSocketError(f"file descriptor {fd} from systemd: {error.strerror}") from None
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.close()
        raise InheritedSocketError(
            f"file descriptor {fd} from systemd does not listen;"
            " the socket unit needs ListenStream= and Accept=no"
        )
    return listener


class Notifier:
    """Sends the service's status to systemd; does nothing without ``NOTIFY_SOCKET``.

    Removes the variables that systemd sets, so that child processes send no notifications.
    """

    def __init__(self, environ: MutableMapping[str, str], clock: Clock) -> None:
        self._clock = clock
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        self._watchdog_period = _watchdog_period(
            environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        )

    def ready(self, status: str) -> None:
        """Report that the service is ready, also after `reloading`."""
        self._notify("READY=1", f"STATUS={_one_line(status)}")

    def reloading(self) -> None:
        """Report that the configuration is being reloaded."""
        self._notify("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1_000_000)}")

    def stopping(self) -> None:
        """Report that the service is stopping."""
        self._notify("STOPPING=1", "STATUS=waiting for running probes to finish")

    async def keep_alive(self) -> None:
        """Send watchdog notifications from the event loop until cancelled, if systemd expects them.

        A blocked event loop sends none, so systemd restarts the service.
        """
        if self._address is None or self._watchdog_period is None:
            return
        while True:
            self._notify("WATCHDOG=1")
            await self._clock.sleep(self._watchdog_period)

    def _notify(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("systemd notification failed", reason=error.strerror)


def _address(text: str) -> str | None:
    if text.startswith("@"):
        # An abstract socket, which has no path in the file system.
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _watchdog_period(usec: str, pid: str) -> float | None:
    """Return the seconds between two notifications: half of the watchdog timeout."""
    if pid not in {"", str(os.getpid())} or not usec.isascii() or not usec.isdigit():
        return None
    return int(usec) / 1_000_000 / 2 or None


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:_STATUS_MAX]
