"""Open connections and record how long each phase took and when the certificate expires.

Each phase has its own hook: the resolver, the socket factory, and `ssl.SSLContext.sslobject_class`
for TLS. aiohttp's tracing sees less and costs every request, even on pooled connections, a tenth of
its CPU time.
"""

import asyncio
import contextvars
import socket
import ssl
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Self

import aiohttp
import uvloop
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection

from exporter.http.errors import ConnectionBrokeError, HandshakeRefusedError
from exporter.http.observer import ConnectionObserver

_SWITCHING = 101
_RECEIVE_BUFFER_BYTES = 64 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""The redirect statuses that browsers follow."""


@dataclass(slots=True)
class Opening:
    """What happened on the connection of one request.

    Times are `time.perf_counter` seconds, 0 if not reached. Entering the context makes this the
    current record, to which the hooks report.
    """

    started: float = 0.0
    dns_started: float = 0.0
    dns_ended: float = 0.0
    tls_started: float = 0.0
    tls_ended: float = 0.0
    certificate_expires_at: float | None = None
    certificate_host: str = ""
    tls_alert: str = ""
    transport: asyncio.Transport | None = None
    sockets: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        opening.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        # The connection's callbacks refer to this record through their context. Without this line
        # the reference cycle would keep 100 kB of TLS until a full garbage collection.
        self.transport = None

    def begin(self) -> None:
        """Record that a connection is being opened; only the first call counts."""
        self.started = self.started or perf_counter()

    def abort(self) -> None:
        """Close the connection at once, without waiting for the peer, which may be frozen."""
        if self.transport is not None:
            self.transport.abort()

    @property
    def in_handshake(self) -> bool:
        """Return whether the TLS handshake has begun but not ended."""
        return self.tls_started > self.tls_ended

    def phases(self, ended: float) -> dict[str, float]:
        """Return the seconds of each phase that happened; ``connect`` is the remaining time."""
        phases = {}
        if self.dns_ended:
            phases["dns"] = self.dns_ended - self.dns_started
        if self.tls_ended:
            phases["tls"] = self.tls_ended - self.tls_started
        phases["connect"] = max(0.0, ended - self.started - sum(phases.values()))
        return phases


opening: contextvars.ContextVar[Opening] = contextvars.ContextVar("opening")
"""The record of the current request's connection; asyncio passes it on to callbacks."""


class ObservedHandshake(ssl.SSLObject):
    """A TLS object that records when its handshake began and ended."""

    def do_handshake(self) -> None:
        """Continue the handshake; raises as `ssl.SSLObject.do_handshake` does."""
        seen = opening.get(None)
        if seen is not None and not seen.in_handshake:
            seen.tls_started = perf_counter()
        super().do_handshake()
        if seen is None:
            return
        seen.tls_ended = perf_counter()
        # Empty without verification: an unverified date is not reliable.
        certificate = self.getpeercert() or {}
        not_after = certificate.get("notAfter")
        if isinstance(not_after, str):
            seen.certificate_expires_at = float(ssl.cert_time_to_seconds(not_after))
            seen.certificate_host = self.server_hostname or ""

    def read(self, len: int = 1024, buffer: Any = None) -> bytes:  # noqa: A002, ANN401 - ssl's
        """Read decrypted bytes; raises as `ssl.SSLObject.read` does.

        In TLS 1.3 a server rejects the client's certificate only after the handshake, by an alert
        that would look like any closed connection.
        """
        try:
            return super().read(len, buffer) if buffer is not None else super().read(len)
        except ssl.SSLError as error:
            seen = opening.get(None)
            if seen is not None and "ALERT" in (error.reason or ""):
                seen.tls_alert = str(error.reason)
            raise


class TimedResolver(AbstractResolver):
    """Records how long the look-ups of another resolver take."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises `OSError`."""
        seen = opening.get()
        seen.begin()
        seen.dns_started = perf_counter()
        found = await self._resolver.resolve(host, port, family)
        seen.dns_ended = perf_counter()
        return found

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


class TimedConnector(aiohttp.TCPConnector):
    """Reports each new connection to an observer. ``how`` is passed to `aiohttp.TCPConnector`."""

    def __init__(self, observer: ConnectionObserver, **how: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(socket_factory=_recorded_socket, **how)
        self._observer = observer

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's form
    ) -> Connection:
        """Return a new or pooled connection; raises as `aiohttp.TCPConnector.connect` does."""
        seen = opening.get()
        try:
            connection = await super().connect(req, traces, timeout)
        finally:
            _detach(seen.sockets)
        seen.transport = connection.transport
        if seen.started:
            self._observer.connection_opened(seen.phases(perf_counter()))
            if seen.certificate_expires_at is not None:
                self._observer.certificate_seen(seen.certificate_host, seen.certificate_expires_at)
        return connection


def _detach(sockets: list[socket.socket]) -> None:
    """Detach sockets from their descriptors, which the event loop owns.

    If the peer resets a connection as soon as it is made, uvloop closes the descriptor but not the
    socket object. When that is garbage-collected it would close the descriptor again, which may
    then belong to another connection or file. Sockets that did not connect are already closed.
    """
    if isinstance(asyncio.get_running_loop(), uvloop.Loop):
        for one in sockets:
            one.detach()
    sockets.clear()


def _recorded_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    seen = opening.get()
    seen.begin()
    made = socket.socket(*address[:3])
    seen.sockets.append(made)
    # Limits what one read returns, which is parsed in one step that blocks the event loop.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return made


async def past_ended_connections(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Retry a GET while the pooled connections turn out to be closed.

    aiohttp itself retries once, after a failure of any connection. After a failure of a new
    connection that would be a request beyond the rate limit, so the error is wrapped in one that
    aiohttp does not retry. If a load balancer has dropped all idle connections, one retry is not
    enough.
    """
    while True:
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if opening.get().started or request.method != "GET":
                raise ConnectionBrokeError from error


async def strict_handshakes(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Reject what browsers reject in a WebSocket handshake: redirects, unrequested subprotocols."""
    response = await handler(request)
    if aiohttp.hdrs.UPGRADE not in request.headers:
        return response
    chosen = response.headers.get(aiohttp.hdrs.SEC_WEBSOCKET_PROTOCOL)
    offered = request.headers.get(aiohttp.hdrs.SEC_WEBSOCKET_PROTOCOL)
    why = ""
    if response.status in REDIRECTS:
        why = f"answered {response.status}"
    elif response.status == _SWITCHING and chosen not in {None, offered}:
        why = f"answered {response.status} with a subprotocol that was not asked for"
    if why:
        response.close()
        raise HandshakeRefusedError(why, response.status)
    return response


def tls_context(
    *,
    ca_file: str | None,
    cert_file: str | None,
    key_file: str | None,
) -> ssl.SSLContext:
    """Return a verifying client context that trusts ``ca_file``, else the system's CAs.

    Raises `OSError` (of which `ssl.SSLError` is one) when a file cannot be used.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.sslobject_class = ObservedHandshake
    context.set_alpn_protocols(["http/1.1"])
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
    return context
