"""A connection that is reset in the moment it is made costs that connection, and nobody else's."""

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
from exporter.http.request import Request
from exporter.http.transport import Transport
from tests.real.open_files import leaving_nothing_behind

_AT_ONCE, _ROUNDS = 50, 10
_LINGER_NOT = struct.pack("ii", 1, 0)


@pytest.fixture
def resetting_port() -> Iterator[int]:
    """Yield a port where every connection is reset as soon as it is made."""
    with socket.create_server(("127.0.0.1", 0), backlog=_AT_ONCE) as server:

        def reset() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                    connection.close()

        Thread(target=reset, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_descriptor_is_closed_twice(resetting_port: int, scheme: str) -> None:
    transport = Transport(tls=Tls(), proxy_url=None, observer=Unobserved())
    request = Request.to("GET", f"{scheme}://127.0.0.1:{resetting_port}/")

    async def send() -> int:
        with pytest.raises(NoResponseError):
            await transport.send(request, timeout=5, max_bytes=1)
        # It takes the number of a connection that has just ended.
        return os.open(os.devnull, os.O_RDONLY)

    async with leaving_nothing_behind():
        for _ in range(_ROUNDS):
            opened = await asyncio.gather(*[send() for _ in range(_AT_ONCE)])
            gc.collect()
            for descriptor in opened:
                # An error where somebody else has closed it.
                os.close(descriptor)
    await transport.aclose()
