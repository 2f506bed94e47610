"""Connections and what they may cost: TLS for each, deadlines, and a share for each client.

uvicorn reads requests; this stands before it. It sees bytes and times, and never a request's
content. Nobody can hold a place for long without using it, and where places run out, whoever has
the most loses the oldest, so that a flood from one client leaves the scrapes of others alone.
"""

import asyncio
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from exporter.web.access.clients import client_of
from exporter.web.access.live_config import LiveConfig
from exporter.web.access.tls import welcome

_GOODBYE_SECONDS = 5.0
_STATE = "connection"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be, and how many seconds each step of one may take.

    ``request`` runs from a connection's beginning, or its last answer, to the end of the next
    request's header; ``answer`` from there to the answer's end, a probe on demand included;
    ``stalled`` while a client leaves an answer unread.
    """

    connections: int = 256
    handshake: float = 10.0
    request: float = 10.0
    answer: float = 180.0
    stalled: float = 30.0


DEFAULT_LIMITS = Limits()


class Connections:
    """All connections there are, by client, the oldest first."""

    def __init__(self, live: LiveConfig, limits: Limits) -> None:
        """Begin with none; ``live`` says which TLS new ones speak."""
        self.live = live
        self.limits = limits
        self._of: dict[str, OrderedDict[Connection, None]] = {}
        self._count = 0

    def add(self, connection: "Connection") -> None:
        """Take in a connection, and cut another where there are too many."""
        self._of.setdefault(connection.client, OrderedDict())[connection] = None
        self._count += 1
        if self._count > self.limits.connections:
            crowd = max(self._of.values(), key=len)
            # The one at work is cut last.
            next((one for one in crowd if not one.at_work), next(iter(crowd))).cut()

    def cut_all(self) -> None:
        """End every connection."""
        for connection in [one for others in self._of.values() for one in others]:
            connection.cut()

    def remove(self, connection: "Connection") -> None:
        """Forget a connection; forgetting it twice does no harm."""
        others = self._of.get(connection.client)
        if others is None or connection not in others:
            return
        del others[connection]
        self._count -= 1
        if not others:
            del self._of[connection.client]


class GuardedConfig(uvicorn.Config):
    """uvicorn's settings, and the connections that it makes."""

    def __init__(self, app: ASGIApp, connections: Connections, **settings: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Serve ``app`` with uvicorn's ``settings``."""
        super().__init__(_timed(app), http=Connection, **settings)
        self.connections = connections


def _timed(app: ASGIApp) -> ASGIApp:
    """Tell a request's connection when its answer begins to be made, and when it is done."""

    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"].pop(_STATE)
        connection.work_begins()
        try:
            await app(scope, receive, send)
        finally:
            connection.work_ends()

    return timed


class Connection(asyncio.Protocol):
    """One connection: first its TLS, then uvicorn's protocol, with a deadline at every time."""

    def __init__(
        self,
        config: GuardedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Be made by uvicorn for each connection."""
        self.client = ""
        self._all = config.connections
        self._limits = config.connections.limits
        self._http = H11Protocol(
            config, server_state, {**app_state, _STATE: self}, asyncio.get_running_loop()
        )
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._early: list[bytes] | None = []
        self._requests = 0
        self._lost = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def at_work(self) -> bool:
        """Return whether an answer is being made."""
        return self._requests > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the rules in force, and speak TLS if they say so."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's is no other
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.client = client_of(peer[0] if isinstance(peer, tuple) else None)
        transport.pause_reading()
        self._arm(self._limits.handshake)
        self._all.add(self)
        self._opening = self._loop.create_task(self._open(transport))

    async def _open(self, transport: asyncio.Transport) -> None:
        rules = await self._all.live.current()
        try:
            if rules.tls is None:
                transport.resume_reading()
            else:
                transport = await self._shake_hands(transport, rules.tls)
                tls = rules.config.tls
                if tls and not welcome(tls, transport.get_extra_info("ssl_object")):
                    raise PermissionError("the certificate has no allowed name")
        except (OSError, EOFError) as error:
            log.debug("TLS handshake failed", client=self.client, reason=_reason(error))
            self.cut()
            return
        self._transport = transport
        self._http.connection_made(transport)
        self._arm(self._limits.request)
        early, self._early = self._early or [], None
        for data in early:
            self._http.data_received(data)

    async def _shake_hands(
        self, transport: asyncio.Transport, context: ssl.SSLContext
    ) -> asyncio.Transport:
        secured = await self._loop.start_tls(
            transport,
            self,
            context,
            server_side=True,
            ssl_handshake_timeout=self._limits.handshake,
            ssl_shutdown_timeout=_GOODBYE_SECONDS,
        )
        if secured is None:
            raise ConnectionResetError
        return secured

    def data_received(self, data: bytes) -> None:
        """Hand on what came; the first bytes after a handshake may be early."""
        if self._early is not None:
            self._early.append(data)
        else:
            self._http.data_received(data)

    def eof_received(self) -> None:
        """Close: whoever sends no more is not answered."""

    def pause_writing(self) -> None:
        """Give the client some time to read."""
        self._stalled = self._loop.call_later(self._limits.stalled, self.cut)
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None
        self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything about it."""
        self._lost = True
        self._all.remove(self)
        for timer in (self._deadline, self._stalled):
            if timer:
                timer.cancel()
        if self._early is None:
            self._http.connection_lost(exc)
        elif self._opening:
            self._opening.cancel()

    def work_begins(self) -> None:
        """Note that a request's header is complete."""
        self._requests += 1
        self._arm(self._limits.answer)

    def work_ends(self) -> None:
        """Note that a request is answered; the next may have been read already."""
        self._requests -= 1
        if not self._requests:
            self._arm(self._limits.request)

    def cut(self) -> None:
        """End the connection at once, whatever was still to be sent."""
        self._all.remove(self)
        if self._transport:
            self._transport.abort()

    def _arm(self, seconds: float) -> None:
        if self._deadline:
            self._deadline.cancel()
        # Also when it is closing already: what was sent last may never be read.
        if not self._lost:
            self._deadline = self._loop.call_later(seconds, self.cut)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error) or type(error).__name__
