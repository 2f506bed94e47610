"""Resolve names by the system, so that one dead DNS zone holds up nobody else.

A look-up that nobody answers keeps its thread for many seconds, whatever deadline we have. In
asyncio's own small pool a few of them would starve all other look-ups, and a reload, and keep the
program from ending. So each has a thread of its own that dies with the program, and a name that
is being looked up already is not asked for twice.
"""

import asyncio
import errno
import socket
from threading import Thread

from aiohttp.abc import AbstractResolver, ResolveResult

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_AT_ONCE_MAX = 256

_Asked = tuple[str, int, int]


class SystemResolver(AbstractResolver):
    """The system's resolver, by threads."""

    def __init__(self) -> None:
        """Ask nothing yet."""
        self._running: dict[_Asked, asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises `OSError`."""
        asked = (host, port, int(family))
        response = self._running.get(asked)
        if response is None:
            if len(self._running) >= _AT_ONCE_MAX:
                # No word of the name: this limit is ours.
                raise OSError(errno.ENOBUFS, "too many names are being looked up")
            response = self._running[asked] = self._ask(asked)
        # Who gives up must not take the answer from the others.
        return await asyncio.shield(response)

    async def close(self) -> None:
        """Leave what is being asked to end by itself."""

    def _ask(self, asked: _Asked) -> asyncio.Future[list[ResolveResult]]:
        loop = asyncio.get_running_loop()
        response: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def settle(found: list[ResolveResult] | OSError) -> None:
            del self._running[asked]
            if isinstance(found, OSError):
                response.set_exception(found)
                # Nobody may be waiting any more.
                response.exception()
            else:
                response.set_result(found)

        def look_up() -> None:
            found = _look_up(*asked)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, found)

        Thread(target=look_up, name=f"look up {asked[0]}", daemon=True).start()
        return response


def _look_up(host: str, port: int, family: int) -> list[ResolveResult] | OSError:
    try:
        found = socket.getaddrinfo(
            host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except OSError as error:
        return error
    except UnicodeError:
        return socket.gaierror(socket.EAI_NONAME, "the name cannot be written in DNS")
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=int(address[1]),
            family=kind,
            proto=proto,
            flags=_NUMERIC,
        )
        for kind, _, proto, _, address in found
    ]
