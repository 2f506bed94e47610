"""The listening socket, and uvicorn without its signal handlers."""

import contextlib
import os
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

_GRACE_SECONDS = 1
_PORT_MAX = 65535
_BACKLOG = 1024


class ListenError(Exception):
    """The address cannot be listened on; the message says why and what to do."""


def listen(address: str) -> socket.socket:
    """Listen on ``[host]:port``; no host means all addresses, IPv4 and IPv6.

    Raises `ListenError`.
    """
    host, separator, port_text = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not port_text.isascii() or not port_text.isdigit():
        raise ListenError(f"listen address {address!r} is no [host]:port, such as :10429")
    port = int(port_text)
    if port > _PORT_MAX:
        raise ListenError(f"listen address {address!r} has no port from 0 to {_PORT_MAX}")
    try:
        if not host:
            if socket.has_dualstack_ipv6():
                return socket.create_server(
                    ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
                )
            return socket.create_server(("", port), backlog=_BACKLOG)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # Python adds the address once more to some texts; a name look-up has texts of its own.
        known = error.errno is not None and error.errno > 0
        why = os.strerror(error.errno or 0) if known else str(error.strerror).partition(" (")[0]
        raise ListenError(
            f"cannot listen on {address}: {why}; choose another with --web.listen-address"
        ) from None


class WebServer(uvicorn.Server):
    """uvicorn, told to stop by the program and not by signals."""

    def __init__(self, application: Starlette) -> None:
        """Serve ``application``."""
        super().__init__(
            uvicorn.Config(
                application,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                ws="none",
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer on sockets that listen, until told to stop."""
        for listening in sockets or ():
            # asyncio does this only where the protocol was named. Without it, an answer in two
            # pieces on a kept connection waits 40 ms for the client to acknowledge the first.
            if listening.family in {socket.AF_INET, socket.AF_INET6}:
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await super().serve(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would raise them again after its shutdown."""
        yield
