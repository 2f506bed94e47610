"""Connections and what they may cost: deadlines, and a share for each client.

uvicorn reads requests; this stands before it. It sees bytes and times, and never a request's
content. Nobody can hold a place for long without using it, and where places run out, whoever has
the most loses the oldest, so that a flood from one client leaves the scrapes of others alone.
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

Admits = Callable[[ssl.SSLObject], bool]
"""Tells of agreed TLS whether whoever is at its other end may come in."""

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

    def __init__(self, limits: Limits) -> None:
        """Begin with none."""
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


def timed(app: ASGIApp) -> ASGIApp:
    """Tell a request's connection when its answer begins to be made, and when it is done."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"].pop(_STATE)
        connection.work_begins()
        try:
            await app(scope, receive, send)
        finally:
            connection.work_ends()

    return answered


class Connection(asyncio.Protocol):
    """One connection: uvicorn's protocol, with a deadline at every time."""

    def __init__(
        self,
        client: str,
        opening: asyncio.Task[None],
        connections: Connections,
        config: uvicorn.Config,
        server_state: ServerState,
    ) -> None:
        """Take the place of a connection that ``opening`` opens for ``client``."""
        self.client = client
        self._opening = opening
        self._all = connections
        self._limits = connections.limits
        self._loop = asyncio.get_running_loop()
        self._state = {_STATE: self}
        self._http = H11Protocol(config, server_state, self._state, self._loop)
        self._transport: asyncio.Transport | None = None
        self._admitted = False
        # Asked before the first request is read, which may have come with the handshake's end.
        self.admits: Admits = lambda _tls: True
        self._requests = 0
        self._lost = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        connections.add(self)
        self._arm(self._limits.handshake)

    @property
    def at_work(self) -> bool:
        """Return whether an answer is being made."""
        return self._requests > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with requests: TLS, if there is any, has been agreed on."""
        # A stream's is no other, though uvloop's own type does not say so.
        self._transport = cast("asyncio.Transport", transport)
        if not self.admits(transport.get_extra_info("ssl_object")):
            log.debug("the certificate has no allowed name", client=self.client)
            self.cut()
            return
        self._admitted = True
        self._http.connection_made(self._transport)
        self._arm(self._limits.request)

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        if self._admitted:
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
        self.forget()
        if self._admitted:
            self._http.connection_lost(exc)
        # The two hold on to each other, and to what TLS needs.
        self._state.clear()

    def forget(self) -> None:
        """Give the place back; doing so twice does no harm."""
        self._lost = True
        self._all.remove(self)
        for timer in (self._deadline, self._stalled):
            if timer:
                timer.cancel()

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
        else:
            self._opening.cancel()

    def _arm(self, seconds: float) -> None:
        if self._deadline:
            self._deadline.cancel()
        # Also when it is closing already: what was sent last may never be read.
        if not self._lost:
            self._deadline = self._loop.call_later(seconds, self.cut)
