"""A connection that is reset as soon as it is made does not affect other connections."""

import asyncio
import contextlib
import gc
import os
import socket
import struct
from collections.abc import Iterator
from threading import Thread

import pytest

from exporter.cloud.observer import Unobserved
from exporter.config.config import Tls
from exporter.http.errors import NoResponseError
from exporter.http.transport import WireTransport
from tests.http.requests import get
from tests.real.leak_check import asserting_no_leaks

_CONCURRENT, _ROUNDS = 50, 10
_NO_LINGER = struct.pack("ii", 1, 0)


@pytest.fixture
def resetting_port() -> Iterator[int]:
    """Yield a port where every connection is reset as soon as it is made."""
    with socket.create_server(("127.0.0.1", 0), backlog=_CONCURRENT) as server:

        def reset() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                    connection.close()

        Thread(target=reset, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_descriptor_is_closed_twice(resetting_port: int, scheme: str) -> None:
    transport = WireTransport(tls=Tls(), proxy_url=None, observer=Unobserved())

    async def send() -> int:
        with pytest.raises(NoResponseError):
            await transport.handle_async_request(
                get(f"{scheme}://127.0.0.1:{resetting_port}/", max_bytes=1)
            )
        # The new file reuses the descriptor of a connection that has just closed.
        return os.open(os.devnull, os.O_RDONLY)

    async with asserting_no_leaks():
        for _ in range(_ROUNDS):
            opened = await asyncio.gather(*[send() for _ in range(_CONCURRENT)])
            gc.collect()
            for descriptor in opened:
                # Fails if the transport has closed it.
                os.close(descriptor)
    await transport.aclose()
