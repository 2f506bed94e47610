"""What systemd hands to a service and wants to hear from it: sockets, readiness, signs of life.

The protocols are those of sd_listen_fds(3) and sd_notify(3), which are stable and need no library.
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
    """A socket from systemd cannot be listened on; the message says what the unit must say."""


def inherited_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Take over the listening sockets that systemd opened for this very process.

    Drops the variables that tell of them, so that no child takes them for its own. Raises
    `InheritedSocketError`.
    """
    pid, count = environ.get("LISTEN_PID"), environ.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isascii() or not count.isdigit():
        return []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    if int(count) > _FDS_MAX:
        raise InheritedSocketError(f"{count} sockets from systemd; {_FDS_MAX} are the most")
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
            raise InheritedSocketError(f"file descriptor {fd} from systemd is no socket")
        os.set_inheritable(fd, False)
        found = socket.socket(fileno=fd)
    except OSError as error:
        raise InheritedSocketError(f"file descriptor {fd} from systemd: {error.strerror}") from None
    if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        found.close()
        raise InheritedSocketError(
            f"file descriptor {fd} from systemd does not listen;"
            " the socket unit needs ListenStream= and Accept=no"
        )
    return found


class Notifier:
    """Tells systemd how the service is. Without ``NOTIFY_SOCKET`` nobody is told."""

    def __init__(self, environ: MutableMapping[str, str], clock: Clock) -> None:
        """Drop the variables that systemd sets, so that no child answers for us."""
        self._clock = clock
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        self._pulse = _pulse(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""))

    def ready(self, status: str) -> None:
        """Say that the service is up, or up again after `reloading`."""
        self._tell("READY=1", f"STATUS={_one_line(status)}")

    def reloading(self) -> None:
        """Say that the configuration is being loaded again."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1_000_000)}")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._tell("STOPPING=1", "STATUS=letting running probes end")

    async def keep_alive(self) -> None:
        """Give signs of life from the event loop until cancelled, if systemd waits for them.

        A loop that is stuck gives none, and systemd starts the service again.
        """
        if self._address is None or self._pulse is None:
            return
        while True:
            self._tell("WATCHDOG=1")
            await self._clock.sleep(self._pulse)

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
                telling.setblocking(False)
                telling.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("cannot notify systemd", reason=error.strerror)


def _address(text: str) -> str | None:
    if text.startswith("@"):
        # An abstract socket, which has no file.
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _pulse(usec: str, pid: str) -> float | None:
    """Return the seconds between two signs of life: half of what systemd waits."""
    if pid not in {"", str(os.getpid())} or not usec.isascii() or not usec.isdigit():
        return None
    return int(usec) / 1_000_000 / 2 or None


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:_STATUS_MAX]
