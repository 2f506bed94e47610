"""A TCP proxy that simulates network failures."""

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
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Gate:
    """Forward connections to the port ``upstream``; all methods may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, upstream: int) -> None:
        self._loop = loop
        self._upstream = upstream
        # Bound but never listening, to reserve the port while the server is closed.
        self._reserved = _bound(0)
        self.port: int = self._reserved.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._resetting = False

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Refuse new connections and reset existing ones until the block ends."""
        self._do(self.close())
        try:
            yield
        finally:
            self._do(self.open())

    @contextmanager
    def redirected_to(self, upstream: int) -> Iterator[None]:
        """Forward to another server until the block ends; reset connections at both changes."""
        before, self._upstream = self._upstream, upstream
        self._do(self._reset_all())
        try:
            yield
        finally:
            self._upstream = before
            self._do(self._reset_all())

    @contextmanager
    def resetting(self) -> Iterator[None]:
        """Reset every connection at its next byte until the block ends."""
        self._resetting = True
        try:
            yield
        finally:
            self._resetting = False

    @contextmanager
    def half_open(self) -> Iterator[None]:
        """Leave existing connections open and silent, as a firewall that lost their state."""
        self._do(self._abandon())
        yield

    async def open(self) -> None:
        """Start listening."""
        self._server = await asyncio.start_server(self._connected, sock=_bound(self.port))

    async def close(self) -> None:
        """Stop listening and reset all connections."""
        if self._server is not None:
            self._server.close()
        await self._reset_all()

    async def end(self) -> None:
        """Stop everything."""
        await self.close()
        await self._abandon()
        await asyncio.gather(*self._tasks, *self._pumps, return_exceptions=True)
        self._reserved.close()

    def _do(self, work: Awaitable[T]) -> T:
        async def done() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    async def _reset_all(self) -> None:
        for writer in self._writers:
            _reset(writer)

    async def _abandon(self) -> None:
        # Cancel the forwarding tasks before their pumps, whose end would close the connections.
        for task in (*self._tasks, *self._pumps):
            task.cancel()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A separate task: asyncio logs an error when its own task is cancelled.
        task = self._loop.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._closing(writer):
            try:
                upstream_reader, upstream_writer = await asyncio.open_connection(
                    _LOOPBACK, self._upstream
                )
            except OSError:
                return
            async with self._closing(upstream_writer):
                pumps = {
                    self._loop.create_task(self._pump(reader, upstream_writer)),
                    self._loop.create_task(self._pump(upstream_reader, writer)),
                }
                self._pumps |= pumps
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in pumps:
                    pump.cancel()
                self._pumps -= pumps

    @asynccontextmanager
    async def _closing(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """Close a connection at the end, unless the task is cancelled."""
        self._writers.add(writer)
        yield
        self._writers.discard(writer)
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._resetting:
                    await self._reset_all()
                    return
                writer.write(data)
                await writer.drain()


@contextmanager
def gate(upstream: int) -> Iterator[Gate]:
    """Run a gate to a loopback port, on a free loopback port."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def create() -> Gate:
        one = Gate(loop, upstream)
        await one.open()
        return one

    one = asyncio.run_coroutine_threadsafe(create(), loop).result(10)
    try:
        yield one
    finally:
        asyncio.run_coroutine_threadsafe(one.end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((_LOOPBACK, port))
    return bound


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()
