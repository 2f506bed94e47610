"""Send one request and read its response up to a size limit, or open a WebSocket.

aiohttp makes the connections: it needs a third of httpx's CPU time, and its name look-ups can be
timed. Redirects, cookies and logins of the client are off.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from yarl import URL

from exporter.config import url_rules
from exporter.config.config import Tls
from exporter.config.secret import Secret, SecretUnreadableError
from exporter.http.connection import (
    Opening,
    TimedConnector,
    TimedResolver,
    past_ended_connections,
    strict_handshakes,
    tls_context,
)
from exporter.http.error_mapping import BROKEN, clear_error_frames, no_response, out_of_time
from exporter.http.errors import BadResponseError, HandshakeRefusedError, NoResponseError
from exporter.http.guard import Guard, GuardedResolver, guarded_requests
from exporter.http.observer import ConnectionObserver
from exporter.http.request import Request
from exporter.http.resolver import SystemResolver
from exporter.http.response import Response
from exporter.http.websocket_close import WebSocket, close_websocket

# IAM tokens can have 9 kB; by default aiohttp rejects header fields over 8190 bytes.
_MAX_HEADER_BYTES = 64 * 1024
# Longer than the default interval of a minute, so that probes find their connection open.
_KEEPALIVE_SECONDS = 75.0
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
# aiohttp rejects messages of this length and above; websockify sends up to 64 KiB at once.
_MESSAGE_MAX_BYTES = 64 * 1024 + 1
_SWITCHING = 101
_FIRST_ERROR = 400
USER_AGENT = "console-exporter"
"""User-Agent of every request."""
_NO_BODY = frozenset({204, 304})


class Transport:
    """Connections of one project to its cloud API or to its consoles.

    The server name in ``tls`` applies to the host ``named`` only; None: to every host.

    With a ``guard``, connections lead only to the hosts that it allows, and each request opens a
    new one, so that it sees the current state of DNS and certificates. Behind a proxy, the proxy
    resolves names. ``resolver`` None is the system's.

    The constructor opens no connection. It raises `OSError` when a certificate file cannot be used
    and `SecretUnreadableError` when the proxy's file cannot be read, and needs a running event
    loop.
    """

    def __init__(  # noqa: PLR0913 - connection settings
        self,
        *,
        tls: Tls,
        proxy_url: Secret | None,
        observer: ConnectionObserver,
        guard: Guard | None = None,
        resolver: AbstractResolver | None = None,
        named: str | None = None,
    ) -> None:
        context = tls_context(
            ca_file=str(tls.ca_file) if tls.ca_file else None,
            cert_file=str(tls.cert_file) if tls.cert_file else None,
            key_file=str(tls.key_file) if tls.key_file else None,
        )
        if tls.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._session = aiohttp.ClientSession(
            connector=_connector(context, observer, guard, resolver, proxied=proxy_url is not None),
            # Timeouts, redirects and decompression are handled in this module.
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            cookie_jar=_NoCookies(),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            middlewares=(
                *((guarded_requests(guard), strict_handshakes) if guard else ()),
                past_ended_connections,
            ),
        )
        self._name = {"server_hostname": tls.server_name}
        self._named = named
        self._proxy_url = proxy_url
        self._proxy_text = ""
        self._proxy: dict[str, Any] = {}
        self._take_proxy()

    async def send(self, request: Request, *, timeout: float, max_bytes: int) -> Response:  # noqa: ASYNC109
        """Send ``request`` and read its response, within ``timeout`` seconds.

        Redirects are returned, not followed. Raises `NoResponseError`, or `BadResponseError` when
        the decoded body is over ``max_bytes`` or in an encoding that was not requested. If the body
        of a response with status 400 or above is broken, the response is returned without it.
        """
        request.headers.setdefault("accept-encoding", "gzip, identity;q=0.5")
        with Opening() as seen:
            return await self._exchange(seen, request, timeout, max_bytes)

    async def _exchange(
        self,
        seen: Opening,
        request: Request,
        timeout: float,  # noqa: ASYNC109
        max_bytes: int,
    ) -> Response:
        started = perf_counter()
        response: aiohttp.ClientResponse | None = None
        body = b""
        try:
            async with (
                asyncio.timeout(timeout),
                self._session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=request.content or None,
                    allow_redirects=False,
                    **self._way_to(request.url),
                ) as response,
            ):
                body = await _read(response, max_bytes)
        except BadResponseError as error:
            failure: NoResponseError | BadResponseError | None = error
        except TimeoutError:
            failure = out_of_time(
                f"no complete answer within {timeout:.3g} s",
                since=started,
                seconds=timeout,
                status=_status(response),
            )
        except BROKEN as error:
            failure = no_response(error, *_place(request.url), seen, _status(response))
            clear_error_frames(error)
        else:
            failure = None
        if failure is not None:
            seen.abort()
        # The status of an error response is enough: a 429 stays one, even if its body breaks.
        if response is None or (failure and response.status < _FIRST_ERROR):
            try:
                raise failure or AssertionError("no answer and no failure")
            finally:
                # Its traceback refers to this frame, which would be a reference cycle.
                del failure
        return Response(response.status, response.headers, body, perf_counter() - started)

    @asynccontextmanager
    async def websocket(
        self,
        url: URL,
        *,
        headers: Mapping[str, str],
        subprotocols: tuple[str, ...],
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[WebSocket]:
        """Open a WebSocket at an http(s) URL within ``timeout`` seconds; close it on exit.

        Messages over 64 KiB are a protocol error; text is received as bytes, and pings are received
        as messages. Raises `HandshakeRefusedError` or `NoResponseError`.
        """
        with Opening() as seen:
            started = perf_counter()
            try:
                async with asyncio.timeout(timeout):
                    opened = await self._session.ws_connect(
                        url,
                        headers=headers,
                        protocols=subprotocols,
                        # Closed below: aiohttp would wait for a second close without a code.
                        autoclose=False,
                        autoping=False,
                        decode_text=False,
                        max_msg_size=_MESSAGE_MAX_BYTES,
                        **self._way_to(url),
                    )
            except aiohttp.WSServerHandshakeError as error:
                raise HandshakeRefusedError(
                    f"answered {error.status}"
                    + (", but not as WebSocket does" if error.status == _SWITCHING else ""),
                    error.status,
                ) from None
            except TimeoutError:
                seen.abort()
                raise out_of_time(
                    f"no answer to the WebSocket handshake within {timeout:.3g} s",
                    since=started,
                    seconds=timeout,
                ) from None
            except BROKEN as error:
                raise no_response(error, *_place(url), seen) from None
            try:
                yield opened
            finally:
                try:
                    await close_websocket(opened)
                finally:
                    seen.abort()
                    # Sends nothing, but releases the connection's resources.
                    await opened.close()
                    if (broken := opened.exception()) is not None:
                        clear_error_frames(broken)

    def _way_to(self, url: URL) -> dict[str, Any]:
        if self._proxy_url is not None and self._proxy_url.file is not None:
            # Secrets in files may be rotated. While the content is invalid, the last value stays.
            with suppress(SecretUnreadableError, ValueError):
                self._take_proxy()
        return self._proxy | self._name if self._named in {None, url.raw_host} else self._proxy

    def _take_proxy(self) -> None:
        text = self._proxy_url.reveal() if self._proxy_url is not None else ""
        if text != self._proxy_text:
            proxy = _proxy(url_rules.proxy_url(text))
            self._proxy = {"proxy": URL(str(proxy.url)), "proxy_headers": dict(proxy.headers)}
            self._proxy_text = text

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()


class _NoCookies(aiohttp.DummyCookieJar):
    """Ignores cookies; aiohttp's dummy jar still parses them, and logs names of malformed ones."""

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Ignore the headers."""


def _connector(
    context: ssl.SSLContext,
    observer: ConnectionObserver,
    guard: Guard | None,
    resolver: AbstractResolver | None,
    *,
    proxied: bool,
) -> aiohttp.TCPConnector:
    resolver = TimedResolver(resolver or SystemResolver())
    how: dict[str, Any] = {"keepalive_timeout": _KEEPALIVE_SECONDS}
    if guard is not None:
        how = {"force_close": True, "use_dns_cache": False}
        if not proxied:
            resolver = GuardedResolver(guard, resolver)
    # No limit: waiting for a free connection would count as latency. The throttle limits the rate.
    return TimedConnector(observer, ssl=context, limit=0, resolver=resolver, **how)


def _place(url: URL) -> tuple[str, int]:
    """Return the host and port of a URL."""
    return url.raw_host or "", url.port or 0


def _proxy(url: str) -> httpx.Proxy:
    """Return a proxy with its credentials as a header; aiohttp deprecates its other form."""
    parts = httpx.URL(url)
    bare = parts.copy_with(username=None, password=None)
    if not parts.userinfo:
        return httpx.Proxy(bare)
    credentials = aiohttp.encode_basic_auth(parts.username, parts.password)
    return httpx.Proxy(bare, headers={"proxy-authorization": credentials})


def _status(response: aiohttp.ClientResponse | None) -> int:
    return response.status if response is not None else 0


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read and decode a body; its size is limited before and after decoding."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise BadResponseError(
            "the answer is in an encoding that was not asked for", response.status
        )
    decoder = None if encoding in {"", "identity"} else zlib.decompressobj(_GZIP_OR_ZLIB)
    body = bytearray()
    async for chunk in response.content.iter_any():
        if decoder and decoder.eof:
            raise BadResponseError("more follows the end of the gzip", response.status)
        try:
            body += decoder.decompress(chunk, max_bytes + 1 - len(body)) if decoder else chunk
        except zlib.error:
            raise BadResponseError(
                "the answer is not the gzip it claims to be", response.status
            ) from None
        if decoder and decoder.unused_data:
            raise BadResponseError("more follows the end of the gzip", response.status)
        if len(body) > max_bytes:
            raise BadResponseError(f"the answer is larger than {max_bytes} bytes", response.status)
    if decoder and not decoder.eof and response.status not in _NO_BODY and body:
        raise BadResponseError("the answer's gzip ends too early", response.status)
    return bytes(body)
