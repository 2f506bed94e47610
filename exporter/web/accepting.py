"""Accept connections, and open each by the TLS that is in force at that moment.

The sockets are accepted here and not by the event loop's own server, whose TLS is that of its
start, and which reads before anybody could say by which rules.
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
from exporter.web.access.tls import welcome
from exporter.web.connections import Connection, Connections

_GOODBYE_SECONDS = 5.0
# Where there is no file descriptor left, there may be one soon.
_OUT_OF_FILES_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Acceptor:
    """Makes connections of what comes in at listening sockets."""

    def __init__(
        self,
        live: LiveConfig,
        connections: Connections,
        config: uvicorn.Config,
        server_state: ServerState,
    ) -> None:
        """Ask ``live`` for the rules of each; uvicorn answers as ``config`` says."""
        self._live = live
        self._connections = connections
        self._config = config
        self._server_state = server_state
        self._opening: set[asyncio.Task[None]] = set()

    async def accept(self, listening: socket.socket) -> None:
        """Accept until cancelled."""
        loop = asyncio.get_running_loop()
        listening.setblocking(False)
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except ConnectionError:
                continue
            except OSError as error:
                log.warning("a connection could not be accepted", reason=error.strerror)
                await asyncio.sleep(_OUT_OF_FILES_SECONDS)
                continue
            host = address[0] if isinstance(address, tuple) else None
            opening = loop.create_task(self._open(accepted, client_of(host)))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket, client: str) -> None:
        opening = asyncio.current_task()
        if opening is None:
            raise RuntimeError("a connection is opened by a task")
        connection = Connection(
            client, opening, self._connections, self._config, self._server_state
        )
        with contextlib.ExitStack() as undo:
            undo.callback(accepted.close)
            undo.callback(connection.forget)
            try:
                await self._shake_hands(accepted, connection)
            except OSError as error:
                log.debug("TLS handshake failed", client=client, reason=_reason(error))
                return
            undo.pop_all()

    async def _shake_hands(self, accepted: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        rules = await self._live.current()
        if accepted.family in {socket.AF_INET, socket.AF_INET6}:
            # Without it, an answer in two pieces on a kept connection waits 40 ms for the client
            # to acknowledge the first.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if rules.tls is None:
            await loop.connect_accepted_socket(lambda: connection, accepted)
            return
        if rules.config.tls is not None:
            connection.admits = partial(welcome, rules.config.tls)
        await loop.connect_accepted_socket(
            lambda: connection,
            accepted,
            ssl=rules.tls,
            ssl_handshake_timeout=self._connections.limits.handshake,
            ssl_shutdown_timeout=_GOODBYE_SECONDS,
        )


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error) or type(error).__name__
