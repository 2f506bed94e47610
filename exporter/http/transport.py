"""Send one request over libcurl and read its response whole and bounded, or open a WebSocket.

`WireTransport` is the last transport under an `httpx.AsyncClient`: nothing below it speaks httpx.
libcurl adds nothing of its own: no redirects, cookies, logins, proxies from the environment, or
repeated requests.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic, perf_counter
from typing import Any

import httpx
import pycurl

from exporter.config.config import Tls
from exporter.config.secret import Secret
from exporter.config.url_rules import DEFAULT_PORTS
from exporter.http.body import BodyError, Decoded
from exporter.http.certificates import TrustStore, earliest_expiry
from exporter.http.connection import Check, Proxy, bracketed, is_address, tls_options
from exporter.http.curl_multi import CurlMulti
from exporter.http.deadline import Deadline
from exporter.http.error_mapping import Failure, deadline_error, resolve_error, transfer_error
from exporter.http.errors import (
    BadResponseError,
    ForbiddenAddressError,
    NoResponse,
    NoResponseError,
    no_response,
)
from exporter.http.guard import Guard
from exporter.http.observer import ConnectionObserver
from exporter.http.resolver import Resolver, SystemResolver
from exporter.http.transfer import DEFAULT_HEADERS, KEPT_SECONDS, Transfer
from exporter.http.websocket import WebSocket, open_websocket

_KEPT_CONNECTIONS = 1000
_HANDLES_MAX = 100
_FIRST_ERROR = 400


class WireTransport(httpx.AsyncBaseTransport):
    """The connections of one project to the hosts it asks: its API, or its consoles.

    Reads ``deadline`` (a `Deadline`), ``max_bytes`` (of the decoded body) and, where a repeated
    request must not meet another kept connection, ``fresh`` from a request's extensions.
    """

    def __init__(  # noqa: PLR0913 - how connections are made
        self,
        *,
        tls: Tls,
        proxy_url: Secret | None,
        observer: ConnectionObserver,
        guard: Guard | None = None,
        resolver: Resolver | None = None,
        named: str | None = None,
    ) -> None:
        """Prepare connections; nothing is opened before the first request.

        The server name that ``tls`` may hold is that of the host ``named``; None: of every host.

        With a ``guard``, connections lead only to allowed hosts, and each request opens a new
        one: a kept connection would hide an expired certificate or a dead name. Behind a proxy
        the proxy resolves names, and the guard checks names only.

        Raises `OSError` when a certificate file cannot be used and `SecretUnreadableError` when
        the proxy's file cannot be read. Must be called in a running event loop.
        """
        self._tls = tls_options(tls)
        self._trusted: TrustStore | None = None
        if not tls.insecure_skip_verify:
            self._trusted = TrustStore.read(
                self._tls.get(pycurl.CAINFO), self._tls.get(pycurl.CAPATH)
            )
        self._server_name = tls.server_name
        self._named = named
        self._proxy = Proxy(proxy_url)
        self._observer = observer
        self._guard = guard
        self._resolver = resolver or SystemResolver()
        self._multi = CurlMulti(kept_connections=_KEPT_CONNECTIONS)
        self._idle: list[Transfer] = []
        self._found_dead_at: float | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` and read its response whole, before its deadline.

        Redirects are returned, not followed. Raises `NoResponseError`, or `BadResponseError` when
        the decoded body is too large or cannot be decoded. A response of status 400 and up is
        returned with the part of its body that could be read and decoded.
        """
        deadline: Deadline = request.extensions["deadline"]
        transfer = self._transfer(request)
        started = perf_counter()
        seconds = deadline.left
        failure: NoResponseError | BadResponseError | None
        try:
            async with asyncio.timeout(seconds):
                failure = await self._perform(transfer, *_place(request.url))
        except TimeoutError:
            failure = deadline_error(
                f"no complete response within {seconds:.3g} s",
                since=started,
                seconds=seconds,
                status=transfer.response_status(),
            )
        finally:
            ended = perf_counter()
            deadline.spent += ended - started
            status, headers = transfer.response_status(), transfer.headers()
            received = transfer.body
            self._release(transfer)
        if failure is None and not status:
            # libcurl takes a response that ends within its headers for complete.
            failure = no_response(
                NoResponse.PROTOCOL, f"{request.url.host} ended the response within its headers"
            )
        body = Decoded(b"")
        if received is not None and (failure is None or status >= _FIRST_ERROR):
            body = await received.decoded()
        if body.problem and failure is None:
            failure = BadResponseError(body.problem, status)
        # The status is the verdict: a 429 stays one, whatever becomes of its body.
        if failure is not None:
            if isinstance(failure, NoResponseError) and failure.stale:
                # A balancer forgets all its idle connections at once.
                self._found_dead_at = monotonic()
            if status < _FIRST_ERROR:
                try:
                    raise failure
                finally:
                    # Its traceback holds this frame: a circle otherwise.
                    del failure
        return ReadResponse(status, headers, body.data, request, {"seconds": ended - started})

    @asynccontextmanager
    async def websocket(
        self,
        url: httpx.URL,
        *,
        headers: Mapping[str, str],
        subprotocols: tuple[str, ...],
        deadline: Deadline,
    ) -> AsyncIterator[WebSocket]:
        """Open a WebSocket at an http(s) address; close it at the end of the block.

        Raises `HandshakeRefusedError` or `NoResponseError`.
        """
        request = httpx.Request("GET", url, headers=headers)
        transfer = self._transfer(request)
        transfer.curl.setopt(pycurl.CONNECT_ONLY, 1)
        # libcurl would close the connection as soon as it is open.
        transfer.curl.setopt(pycurl.FORBID_REUSE, 0)
        # Without a tunnel a proxy would take the handshake of plain http for a request of its own.
        transfer.curl.setopt(pycurl.HTTPPROXYTUNNEL, 1)
        started = perf_counter()
        seconds = deadline.left
        try:
            try:
                async with asyncio.timeout(seconds):
                    host, port = _place(url)
                    failure = await self._perform(transfer, host, port)
                    if failure is None:
                        opened = await open_websocket(
                            transfer.curl,
                            url,
                            {**DEFAULT_HEADERS, **headers},
                            subprotocols,
                        )
            except TimeoutError:
                failure = deadline_error(
                    f"no response to the WebSocket handshake within {seconds:.3g} s",
                    since=started,
                    seconds=seconds,
                )
            finally:
                deadline.spent += perf_counter() - started
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure
            try:
                yield opened
            finally:
                await opened.close()
        finally:
            self._multi.remove(transfer.curl)
            transfer.close()

    async def aclose(self) -> None:
        """Close all connections; requests that are running fail."""
        self._close_idle()
        self._multi.close()

    def _close_idle(self) -> None:
        for transfer in self._idle:
            transfer.close()
        self._idle.clear()

    def _other_name(self, host: str) -> str | None:
        """Return the name that the certificate of a host must be for, where it is another."""
        return self._server_name if self._named in {None, host} else None

    def _transfer(self, request: httpx.Request) -> Transfer:
        url = request.url
        host, port = _place(url)
        check = None
        if self._guard is not None:
            try:
                self._guard.check_request(url.scheme, host, port)
            except ForbiddenAddressError as error:
                raise no_response(NoResponse.FORBIDDEN, str(error)) from None
            if self._proxy.url is None:
                check = Check(self._guard, host, port)
        if self._proxy.changed():
            self._close_idle()
        transfer = self._idle.pop() if self._idle else Transfer(self._tls | self._proxy.options)
        curl = transfer.curl
        other_name = self._other_name(host)
        if other_name is not None and "host" not in request.headers:
            request.headers["host"] = url.netloc.decode("ascii")
        named = host if self._proxy.url is None else self._proxy.url.host
        transfer.prepare(request, check, is_resolved=is_address(named))
        if other_name is not None:
            # libcurl verifies the name in the URL.
            curl.setopt(pycurl.URL, str(url.copy_with(host=other_name)))
            place = f"{bracketed(other_name)}:{port}:{bracketed(host)}:{port}"
            transfer.route(pycurl.CONNECT_TO, [place])
        if self._guard is not None or request.extensions.get("fresh"):
            curl.setopt(pycurl.FRESH_CONNECT, 1)
        if self._guard is not None:
            curl.setopt(pycurl.FORBID_REUSE, 1)
            transfer.route(pycurl.RESOLVE, [f"-{host}:{port}"])
        self._avoid_dead_connections(curl)
        return transfer

    def _avoid_dead_connections(self, curl: pycurl.Curl) -> None:
        """Reuse no connection that is older than the last one that proved to be dead."""
        age = None if self._found_dead_at is None else int(monotonic() - self._found_dead_at)
        if age is None or age > KEPT_SECONDS:
            curl.setopt(pycurl.MAXLIFETIME_CONN, 0)
        elif age == 0:
            # libcurl counts whole seconds, and 0 means no limit.
            curl.setopt(pycurl.FRESH_CONNECT, 1)
        else:
            curl.setopt(pycurl.MAXLIFETIME_CONN, age)

    async def _perform(
        self, transfer: Transfer, host: str, port: int
    ) -> NoResponseError | BadResponseError | None:
        """Run a transfer; return why it failed."""
        proxy = self._proxy.url
        curl = transfer.curl
        dns_seconds = None
        code, message = await self._multi.start(curl)
        if transfer.must_resolve:
            # libcurl wanted to resolve a name; nothing was sent.
            self._multi.remove(curl)
            where = (host, port) if proxy is None else _place(proxy)
            looked_up = perf_counter()
            try:
                addresses = await self._resolver.resolve(*where)
                if transfer.check is not None:
                    addresses = transfer.check.allowed(addresses)
            except OSError as error:
                return resolve_error(error, where[0], proxied=proxy is not None)
            dns_seconds = perf_counter() - looked_up
            transfer.resolved(where, addresses)
            code, message = await self._multi.start(curl)
            if transfer.must_resolve:
                # libcurl reads another name in the URL than httpx.
                return no_response(NoResponse.DNS, f"cannot resolve {host}: check DNS")
        if curl.getinfo(pycurl.NUM_CONNECTS):
            self._report_connection(curl, host, dns_seconds)
        if not code:
            # One of several addresses may have failed before.
            return None
        if isinstance(transfer.failure, BodyError):
            return BadResponseError(str(transfer.failure), transfer.response_status())
        if transfer.failure is not None:
            return transfer.failure
        return transfer_error(
            Failure(curl, code, message),
            host,
            port,
            status=transfer.response_status(),
            proxied=proxy is not None,
            stale=transfer.is_stale,
        )

    def _report_connection(self, curl: pycurl.Curl, host: str, dns: float | None) -> None:
        resolved, connected, secured = (
            curl.getinfo(pycurl.NAMELOOKUP_TIME),
            curl.getinfo(pycurl.CONNECT_TIME),
            curl.getinfo(pycurl.APPCONNECT_TIME),
        )
        if not connected:
            return
        phases = {"connect": max(0.0, connected - resolved)}
        if dns is not None:
            phases["dns"] = dns
        if secured:
            phases["tls"] = max(0.0, secured - connected)
        self._observer.connection_opened(phases)
        if secured and self._trusted is not None:
            # Undecoded: a certificate may hold anything.
            chain = curl.getinfo_raw(pycurl.INFO_CERTINFO)
            expires_at = earliest_expiry(chain, self._trusted)
            if expires_at is not None:
                self._observer.certificate_seen(self._other_name(host) or host, expires_at)

    def _release(self, transfer: Transfer) -> None:
        self._multi.remove(transfer.curl)
        # The body of a login would stay in the handle.
        is_kept = transfer.is_reusable and not self._multi.closed
        if is_kept and len(self._idle) < _HANDLES_MAX:
            self._idle.append(transfer)
        else:
            transfer.close()


class ReadResponse(httpx.Response):
    """A response whose body is read and decoded.

    httpx would pass a body that is given as ``content`` through its decoders.
    """

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        request: httpx.Request,
        extensions: dict[str, Any],
    ) -> None:
        super().__init__(
            status,
            headers=headers,
            stream=httpx.ByteStream(body),
            request=request,
            extensions=extensions,
        )
        self._content = body


def _place(url: httpx.URL) -> tuple[str, int]:
    """Return the host and port that a URL leads to."""
    return url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS.get(url.scheme, 0)
