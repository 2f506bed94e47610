"""Addresses at which no server responds."""

import contextlib
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
UNKNOWN_HOST = "does-not-exist.invalid"


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Yield the URL of a reserved port on which no server listens."""
    with socket.socket() as reserved:
        reserved.bind((LOOPBACK, 0))
        yield f"http://{LOOPBACK}:{reserved.getsockname()[1]}"


@contextlib.contextmanager
def never_accepting_port() -> Iterator[str]:
    """Yield the URL of a port whose accept queue is full, so that connecting hangs."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind((LOOPBACK, 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"http://{LOOPBACK}:{address[1]}"
