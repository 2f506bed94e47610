"""Resolve host names with the system's resolver, in a thread for each look-up.

A look-up that gets no reply occupies its thread for many seconds, whatever the deadline. In a
small pool, libcurl's or asyncio's, a few of them would starve all others and keep the program from
ending. So each has a thread of its own that dies with the program; concurrent look-ups of one name
share a thread.
"""

import asyncio
import errno
import socket
from threading import Thread
from typing import Protocol

_AT_ONCE_MAX = 256

_Asked = tuple[str, int]


class Resolver(Protocol):
    """Resolves host names."""

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return the IP addresses of a name, the preferred first; raises `OSError`."""


class SystemResolver:
    """Resolves host names with ``getaddrinfo``."""

    def __init__(self) -> None:
        self._running: dict[_Asked, asyncio.Future[list[str]]] = {}

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return the IP addresses of a name, the preferred first; raises `OSError`."""
        asked = (host, port)
        found = self._running.get(asked)
        if found is None:
            if len(self._running) >= _AT_ONCE_MAX:
                # Says nothing about the name: the limit is ours.
                raise OSError(errno.ENOBUFS, "too many names are being looked up")
            found = self._running[asked] = self._start(asked)
        # A caller that is cancelled must not cancel the look-up of the others.
        return await asyncio.shield(found)

    def _start(self, asked: _Asked) -> "asyncio.Future[list[str]]":
        loop = asyncio.get_running_loop()
        result: asyncio.Future[list[str]] = loop.create_future()

        def settle(found: list[str] | OSError) -> None:
            self._running.pop(asked, None)
            if isinstance(found, OSError):
                result.set_exception(found)
                # Retrieved here, as every caller may have left.
                result.exception()
            else:
                result.set_result(found)

        def look_up() -> None:
            found = _look_up(*asked)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, found)

        try:
            Thread(target=look_up, name=f"look up {asked[0]}", daemon=True).start()
        except RuntimeError:
            settle(OSError(errno.EAGAIN, "no more threads can be started"))
        return result


def _look_up(host: str, port: int) -> list[str] | OSError:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except OSError as error:
        return error
    except UnicodeError:
        return socket.gaierror(socket.EAI_NONAME, "the name cannot be written in DNS")
    # libcurl takes no addresses of a single network interface.
    return [str(address[0]) for *_, address in found if "%" not in str(address[0])]
