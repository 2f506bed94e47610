"""A TCP proxy before a server whose ways can be shut, each as a network does it."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
_LOOPBACK = "127.0.0.1"
_CHUNK = 64 * 1024
_LINGER_NOT = struct.pack("ii", 1, 0)


class Gate:
    """Carries bytes to ``upstream``; every lever works from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, upstream: int) -> None:
        self._loop = loop
        self._upstream = upstream
        # Bound and never listening, so that the port stays ours while nobody listens.
        self._reserved = _bound(0)
        self.port: int = self._reserved.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._resetting = False

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Refuse connections, and reset those there are."""
        self._do(self.close())
        try:
            yield
        finally:
            self._do(self.open())

    @contextmanager
    def led_to(self, upstream: int) -> Iterator[None]:
        """Lead to another server, and reset connections at the change and at its end."""
        before, self._upstream = self._upstream, upstream
        self._do(self._cut())
        try:
            yield
        finally:
            self._upstream = before
            self._do(self._cut())

    @contextmanager
    def resetting(self) -> Iterator[None]:
        """Reset every connection at its next byte."""
        self._resetting = True
        try:
            yield
        finally:
            self._resetting = False

    @contextmanager
    def half_open(self) -> Iterator[None]:
        """Let those who are connected wait for ever, as when a firewall has forgotten them."""
        self._do(self._forget())
        yield

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, sock=_bound(self.port))

    async def close(self) -> None:
        """Stop listening and reset all connections."""
        if self._server is not None:
            self._server.close()
        await self._cut()

    async def end(self) -> None:
        """Stop everything."""
        await self.close()
        await self._forget()
        await asyncio.gather(*self._tasks, *self._pumps, return_exceptions=True)
        self._reserved.close()

    def _do(self, work: Awaitable[T]) -> T:
        async def done() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    async def _cut(self) -> None:
        for writer in self._writers:
            _reset(writer)

    async def _forget(self) -> None:
        # Those that carry before their pumps, whose end would close the connections.
        for task in (*self._tasks, *self._pumps):
            task.cancel()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio calls it a fault when one of its own is cancelled.
        task = self._loop.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._kept(writer):
            try:
                ahead, behind = await asyncio.open_connection(_LOOPBACK, self._upstream)
            except OSError:
                return
            async with self._kept(behind):
                pumps = {
                    self._loop.create_task(self._pump(reader, behind)),
                    self._loop.create_task(self._pump(ahead, writer)),
                }
                self._pumps |= pumps
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in pumps:
                    pump.cancel()
                self._pumps -= pumps

    @asynccontextmanager
    async def _kept(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """Close a connection in the end, unless the task is cancelled: then it is forgotten."""
        self._writers.add(writer)
        yield
        self._writers.discard(writer)
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._resetting:
                    await self._cut()
                    return
                writer.write(data)
                await writer.drain()


@contextmanager
def gate(upstream: int) -> Iterator[Gate]:
    """Run a gate before a port of loopback, on a free port of loopback."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def made() -> Gate:
        one = Gate(loop, upstream)
        await one.open()
        return one

    one = asyncio.run_coroutine_threadsafe(made(), loop).result(10)
    try:
        yield one
    finally:
        asyncio.run_coroutine_threadsafe(one.end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((_LOOPBACK, port))
    return made


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()
