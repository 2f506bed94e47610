"""Limit connections: deadlines for each step, and a fair share for each client.

A layer below uvicorn's HTTP protocol that sees bytes and times, never a request's content. An idle
connection is closed by its deadline. When there are too many, the client with the most connections
loses its oldest one, so a flood from one client does not affect the scrapes of others.
"""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

ClientAllowed = Callable[[ssl.SSLObject], bool]
"""Return whether the client of an established TLS connection is allowed."""

_STATE = "connection"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum number of connections, and the deadline of each step in seconds.

    ``request`` runs from the start of a connection, or the end of the last response, to the end of
    the next request's header; ``response`` from there to the end of the response, including a probe
    on demand; ``stalled`` while the client does not read the response.
    """

    connections: int = 256
    handshake: float = 10.0
    request: float = 10.0
    response: float = 180.0
    stalled: float = 30.0


DEFAULT_LIMITS = Limits()


class Connections:
    """All open connections by client, the oldest first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._by_client: dict[str, OrderedDict[Connection, None]] = {}
        self._count = 0

    def add(self, connection: "Connection") -> None:
        """Add a connection; close another one if there are too many."""
        self._by_client.setdefault(connection.client, OrderedDict())[connection] = None
        self._count += 1
        if self._count > self.limits.connections:
            largest = max(self._by_client.values(), key=len)
            # Prefer an idle connection to one that is handling a request.
            next((one for one in largest if not one.busy), next(iter(largest))).abort()

    def abort_all(self) -> None:
        """Close every connection."""
        for connection in [one for same in self._by_client.values() for one in same]:
            connection.abort()

    def remove(self, connection: "Connection") -> None:
        """Remove a connection; has no effect if it was removed before."""
        same_client = self._by_client.get(connection.client)
        if same_client is None or connection not in same_client:
            return
        del same_client[connection]
        self._count -= 1
        if not same_client:
            del self._by_client[connection.client]


def reporting_requests(app: ASGIApp) -> ASGIApp:
    """Wrap ``app`` so that each `Connection` is told when a request starts and ends."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"].pop(_STATE)
        connection.request_started()
        try:
            await app(scope, receive, send)
        finally:
            connection.request_finished()

    return handle


class Connection(asyncio.Protocol):
    """One connection: uvicorn's HTTP protocol with a deadline for every step.

    ``opening`` is the task that performs the TLS handshake; it is cancelled when the connection is
    aborted before its end.
    """

    def __init__(
        self,
        client: str,
        opening: asyncio.Task[None],
        connections: Connections,
        config: uvicorn.Config,
        server_state: ServerState,
    ) -> None:
        self.client = client
        self._opening = opening
        self._all = connections
        self._limits = connections.limits
        self._loop = asyncio.get_running_loop()
        self._state = {_STATE: self}
        self._http = H11Protocol(config, server_state, self._state, self._loop)
        self._transport: asyncio.Transport | None = None
        self._admitted = False
        # Checked before any data is read: the first request may arrive with the handshake's end.
        self.client_allowed: ClientAllowed = lambda _tls: True
        self._requests = 0
        self._lost = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        connections.add(self)
        self._arm(self._limits.handshake)

    @property
    def busy(self) -> bool:
        """Return whether a request is being handled."""
        return self._requests > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to read requests; the TLS handshake, if any, is done."""
        # Always a Transport for a stream socket, though uvloop's type does not say so.
        self._transport = cast("asyncio.Transport", transport)
        if not self.client_allowed(transport.get_extra_info("ssl_object")):
            log.debug("client certificate has no allowed name", client=self.client)
            self.abort()
            return
        self._admitted = True
        self._http.connection_made(self._transport)
        self._arm(self._limits.request)

    def data_received(self, data: bytes) -> None:
        """Pass received data to the HTTP protocol."""
        if self._admitted:
            self._http.data_received(data)

    def eof_received(self) -> None:
        """Close the connection when the client has closed its side."""

    def pause_writing(self) -> None:
        """Start the deadline for a client that does not read."""
        self._stalled = self._loop.call_later(self._limits.stalled, self.abort)
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Stop that deadline: the client has read."""
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None
        self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything that belongs to the connection."""
        self.forget()
        if self._admitted:
            self._http.connection_lost(exc)
        # Break the reference cycle between protocol and connection, which keeps TLS memory alive.
        self._state.clear()

    def forget(self) -> None:
        """Remove the connection and cancel its timers; may be called twice."""
        self._lost = True
        self._all.remove(self)
        for timer in (self._deadline, self._stalled):
            if timer:
                timer.cancel()

    def request_started(self) -> None:
        """Start the response's deadline: a request's header is complete."""
        self._requests += 1
        self._arm(self._limits.response)

    def request_finished(self) -> None:
        """Start the next request's deadline, unless a pipelined request is still being handled."""
        self._requests -= 1
        if not self._requests:
            self._arm(self._limits.request)

    def abort(self) -> None:
        """Close the connection at once and discard unsent data."""
        self._all.remove(self)
        if self._transport:
            self._transport.abort()
        else:
            self._opening.cancel()

    def _arm(self, seconds: float) -> None:
        if self._deadline:
            self._deadline.cancel()
        # Needed while closing too: the client may never read the last data.
        if not self._lost:
            self._deadline = self._loop.call_later(seconds, self.abort)
