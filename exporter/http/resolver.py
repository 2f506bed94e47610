"""Resolve names by the system's resolver, so that one dead DNS zone delays no other look-ups.

A look-up without a response blocks its thread for many seconds, regardless of any deadline. In
asyncio's small thread pool a few of them would block all other look-ups and reloads, and the exit
of the program. So each look-up has its own daemon thread, shared by concurrent callers that ask for
the same name.
"""

import asyncio
import errno
import socket
from threading import Thread

from aiohttp.abc import AbstractResolver, ResolveResult

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_AT_ONCE_MAX = 256

_Query = tuple[str, int, int]


class SystemResolver(AbstractResolver):
    """Calls the system's resolver in threads."""

    def __init__(self) -> None:
        self._running: dict[_Query, asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises `OSError`."""
        query = (host, port, int(family))
        result = self._running.get(query)
        if result is None:
            if len(self._running) >= _AT_ONCE_MAX:
                # The message does not name the host, because the limit is the exporter's own.
                raise OSError(errno.ENOBUFS, "too many names are being looked up")
            result = self._running[query] = self._start(query)
        # A cancelled caller must not cancel the look-up for other callers.
        return await asyncio.shield(result)

    async def close(self) -> None:
        """Do nothing: running look-ups end by themselves."""

    def _start(self, query: _Query) -> asyncio.Future[list[ResolveResult]]:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def settle(found: list[ResolveResult] | OSError) -> None:
            del self._running[query]
            if isinstance(found, OSError):
                result.set_exception(found)
                # Mark it as retrieved, because all callers may have been cancelled.
                result.exception()
            else:
                result.set_result(found)

        def look_up() -> None:
            found = _look_up(*query)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, found)

        Thread(target=look_up, name=f"look up {query[0]}", daemon=True).start()
        return result


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
