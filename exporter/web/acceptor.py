"""Accept connections and start TLS with the current web configuration.

asyncio's own server cannot be used: it keeps the TLS settings that it was started with, and it
starts to read before the current settings can be looked up.
"""

import asyncio
import contextlib
import socket
import ssl
from functools import partial

import structlog
import uvicorn
from uvicorn.server import ServerState

from exporter.web.access.clients import client_of
from exporter.web.access.live_config import LiveConfig
from exporter.web.access.tls import has_allowed_name
from exporter.web.connections import Connection, Connections

_TLS_SHUTDOWN_SECONDS = 5.0
# Pause after an accept error, such as running out of file descriptors.
_RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Acceptor:
    """Accept connections on listening sockets and pass each to uvicorn's protocol."""

    def __init__(
        self,
        live: LiveConfig,
        connections: Connections,
        config: uvicorn.Config,
        server_state: ServerState,
    ) -> None:
        self._live = live
        self._connections = connections
        self._config = config
        self._server_state = server_state
        self._opening: set[asyncio.Task[None]] = set()

    async def accept(self, listening: socket.socket) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        listening.setblocking(False)
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except ConnectionError:
                continue
            except OSError as error:
                log.warning("connection not accepted", reason=error.strerror)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            host = address[0] if isinstance(address, tuple) else None
            opening = loop.create_task(self._open(accepted, client_of(host)))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket, client: str) -> None:
        opening = asyncio.current_task()
        if opening is None:
            raise RuntimeError("_open must run in a task")
        connection = Connection(
            client, opening, self._connections, self._config, self._server_state
        )
        with contextlib.ExitStack() as undo:
            undo.callback(accepted.close)
            undo.callback(connection.forget)
            try:
                await self._start(accepted, connection)
            except OSError as error:
                log.debug("TLS handshake failed", client=client, reason=_reason(error))
                return
            undo.pop_all()

    async def _start(self, accepted: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        rules = await self._live.current()
        if accepted.family in {socket.AF_INET, socket.AF_INET6}:
            # Without it, the second packet of a response on a kept-alive connection waits up to
            # 40 ms for the client's delayed ACK.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if rules.tls is None:
            await loop.connect_accepted_socket(lambda: connection, accepted)
            return
        if rules.config.tls is not None:
            connection.client_allowed = partial(has_allowed_name, rules.config.tls)
        await loop.connect_accepted_socket(
            lambda: connection,
            accepted,
            ssl=rules.tls,
            ssl_handshake_timeout=self._connections.limits.handshake,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_SECONDS,
        )


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error) or type(error).__name__
