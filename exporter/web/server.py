"""Open the listening sockets, and run uvicorn with limits and without its signal handlers."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from exporter.web.acceptor import Acceptor
from exporter.web.access.live_config import LiveConfig
from exporter.web.connections import DEFAULT_LIMITS, Connections, Limits, reporting_requests

_GRACE_SECONDS = 1
_PORT_MAX = 65535
# This many connections may be accepted, each with a file descriptor, before limits apply.
_BACKLOG = 128
_HEADER_BYTES_MAX = 16 * 1024
_IDLE_SECONDS = 5


class ListenError(Exception):
    """Listening on an address failed; the message says why and what to do."""


def listen(address: str) -> socket.socket:
    """Listen on ``[host]:port``; no host means all addresses, IPv4 and IPv6.

    Raises `ListenError`.
    """
    host, separator, port_text = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not port_text.isascii() or not port_text.isdigit():
        raise ListenError(f"listen address {address!r} is not [host]:port; use for example :10429")
    port = int(port_text)
    if port > _PORT_MAX:
        raise ListenError(f"listen address {address!r} needs a port from 0 to {_PORT_MAX}")
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
        # Python repeats the address in some messages; a name lookup has its own error numbers.
        known = error.errno is not None and error.errno > 0
        why = os.strerror(error.errno or 0) if known else str(error.strerror).partition(" (")[0]
        raise ListenError(
            f"cannot listen on {address}: {why}; choose another with --web.listen-address"
        ) from None


def listen_all(addresses: Sequence[str]) -> list[socket.socket]:
    """Listen on every address; open no socket if one fails. Raises `ListenError`."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(listen(address)) for address in addresses]
        opened.pop_all()
    return sockets


def address_text(listening: socket.socket) -> str:
    """Return a listening socket's address for log messages."""
    name = listening.getsockname()
    if isinstance(name, tuple):
        host, port = name[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return "unix:" + text.replace("\0", "@", 1)


class WebServer(uvicorn.Server):
    """uvicorn's server with connection limits, live TLS settings, and no signal handlers."""

    def __init__(
        self, application: ASGIApp, live: LiveConfig, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        settings = uvicorn.Config(
            reporting_requests(application),
            http="h11",
            log_config=None,
            # Do not log every malformed request.
            log_level="error",
            access_log=False,
            lifespan="off",
            server_header=False,
            # Limits apply to the address that connects, not to X-Forwarded-For.
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=_IDLE_SECONDS,
            h11_max_incomplete_event_size=_HEADER_BYTES_MAX,
            ws="none",
        )
        super().__init__(settings)
        self._connections = Connections(limits)
        self._acceptor = Acceptor(live, self._connections, settings, self.server_state)
        self._accepting: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections; called by `serve`."""
        self.servers = []
        self._accepting = [
            asyncio.create_task(self._acceptor.accept(listening)) for listening in sockets or ()
        ]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting and let running requests finish; called by `serve`."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        await super().shutdown(sockets)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on ``sockets`` until stopped, then close them."""
        await super().serve(sockets)
        self._connections.abort_all()
        # Aborted connections close in the next iterations of the event loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: uvicorn would raise the signals again after shutdown."""
        yield
