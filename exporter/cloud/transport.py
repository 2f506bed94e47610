"""Send one request, read its answer whole and bounded, and say truly why none came.

httpx's request and transport interface over aiohttp's connections: a third of the CPU of httpx's
own, and its name look-ups can be timed. The transport is called without a client around it: that
saves as much again, and nothing that a client would add (redirects, cookies, logins) is wanted.
"""

import asyncio
import ssl
import zlib
from time import perf_counter

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from exporter.cloud.answer import Answer
from exporter.cloud.connection import (
    Opening,
    connection_trace,
    opening,
    past_ended_connections,
    tls_context,
)
from exporter.cloud.errors import BadAnswerError, NoAnswer, NoAnswerError
from exporter.cloud.observer import ConnectionObserver
from exporter.config.config import Tls
from exporter.config.secret import Secret

# IAM tokens of 9 kB are seen in the wild; aiohttp refuses header fields over 8190 bytes.
_MAX_HEADER_BYTES = 64 * 1024
# Longer than the usual interval, so that a probe each minute finds its connection open.
_KEEPALIVE_SECONDS = 75.0
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_BROKEN = (
    httpx.HTTPError,
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,
)
_WORDS: dict[type, str] = {
    aiohttp.ServerDisconnectedError: "it closed the connection",
    aiohttp.ClientPayloadError: "the body ends too early or is malformed",
    aiohttp.ClientResponseError: "it does not speak HTTP",
    aiohttp.ClientHttpProxyError: "it opens no tunnel",
}
_NO_BODY = frozenset({204, 304})


class Transport:
    """The connections of one project to the hosts it asks."""

    def __init__(self, *, tls: Tls, proxy_url: Secret | None, observer: ConnectionObserver) -> None:
        """Prepare connections; nothing is opened before the first request.

        Raises `OSError` when a certificate file cannot be used and `SecretUnreadableError` when
        the proxy's file cannot be read. Must be called in a running event loop.
        """
        context = tls_context(
            ca_file=str(tls.ca_file) if tls.ca_file else None,
            cert_file=str(tls.cert_file) if tls.cert_file else None,
            key_file=str(tls.key_file) if tls.key_file else None,
        )
        if tls.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._server_name = tls.server_name
        self._session = aiohttp.ClientSession(
            # No limit: a queue for a free connection would count as latency; the throttle paces.
            connector=aiohttp.TCPConnector(
                ssl=context, limit=0, keepalive_timeout=_KEEPALIVE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            trace_configs=[connection_trace(observer)],
            middlewares=(past_ended_connections,),
        )
        self._transport = AiohttpTransport(
            verify=context,
            client=self._session,
            proxy=_proxy(proxy_url.reveal()) if proxy_url else None,
        )

    async def send(self, request: httpx.Request, *, timeout: float, max_bytes: int) -> Answer:  # noqa: ASYNC109
        """Send ``request`` and read its answer whole, within ``timeout`` seconds.

        Redirects are returned, not followed. Raises `NoAnswerError`, or `BadAnswerError` when the
        decoded body is over ``max_bytes`` or in an encoding that was not asked for. An answer of
        status 400 and up is returned without its body rather than not at all.
        """
        if self._server_name:
            request.extensions["sni_hostname"] = self._server_name
        request.headers.setdefault("accept-encoding", "gzip, identity;q=0.5")
        seen = Opening()
        opening.set(seen)
        started = perf_counter()
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(timeout):
                response = await self._transport.handle_async_request(request)
                try:
                    body = await _read(response, max_bytes)
                finally:
                    await response.aclose()
        except BadAnswerError as error:
            failure: NoAnswerError | BadAnswerError = error
        except TimeoutError:
            failure = NoAnswerError(
                NoAnswer.TIMEOUT, f"no complete answer within {timeout:.3g} s", _status(response)
            )
        except _BROKEN as error:
            failure = _no_answer(error, request, seen, _status(response))
        else:
            return Answer(response.status_code, response.headers, body, perf_counter() - started)
        if response is not None and response.is_error:
            # The status has said it: a 429 stays one, whatever becomes of its body.
            return Answer(response.status_code, response.headers, b"", perf_counter() - started)
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


def _proxy(url: str) -> httpx.Proxy:
    """Return a proxy whose credentials are a header: aiohttp's own form of them is deprecated."""
    parts = httpx.URL(url)
    bare = parts.copy_with(username=None, password=None)
    if not parts.userinfo:
        return httpx.Proxy(bare)
    credentials = aiohttp.encode_basic_auth(parts.username, parts.password)
    return httpx.Proxy(bare, headers={"proxy-authorization": credentials})


def _status(response: httpx.Response | None) -> int:
    return response.status_code if response is not None else 0


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    """Read a body whole. Bounded before and after decoding, whatever the headers say."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise BadAnswerError(
            "the answer is in an encoding that was not asked for", response.status_code
        )
    decoder = None if encoding in {"", "identity"} else zlib.decompressobj(_GZIP_OR_ZLIB)
    body = bytearray()
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the transport's stream is not asynchronous")
    async for chunk in stream:
        try:
            body += decoder.decompress(chunk, max_bytes + 1 - len(body)) if decoder else chunk
        except zlib.error:
            raise BadAnswerError(
                "the answer is not the gzip it claims to be", response.status_code
            ) from None
        if len(body) > max_bytes:
            raise BadAnswerError(
                f"the answer is larger than {max_bytes} bytes", response.status_code
            )
    if decoder and not decoder.eof and response.status_code not in _NO_BODY and body:
        raise BadAnswerError("the answer's gzip ends too early", response.status_code)
    return bytes(body)


def _no_answer(
    error: Exception, request: httpx.Request, seen: Opening, status: int
) -> NoAnswerError:
    """Classify by the original exception: httpx-aiohttp calls a cut connection a timeout."""
    origin = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error
    place = (
        f"{request.url.host}:{request.url.port or (443 if request.url.scheme == 'https' else 80)}"
    )
    os_error = getattr(origin, "os_error", origin)
    why = getattr(os_error, "strerror", None) or _WORDS.get(type(os_error)) or "no HTTP"
    if isinstance(origin, aiohttp.ClientConnectorDNSError):
        return NoAnswerError(NoAnswer.DNS, f"cannot resolve {request.url.host}: {why}", status)
    if isinstance(origin, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return NoAnswerError(
            NoAnswer.CONNECT, f"the proxy refuses or cannot be reached: {why}", status
        )
    # An alert may come after our side of the handshake, as for a client certificate in TLS 1.3.
    if (
        seen.tls_alert
        or isinstance(origin, aiohttp.ClientSSLError | ssl.SSLError)
        or isinstance(origin.__cause__, ssl.SSLError)
        or (seen.in_handshake and isinstance(origin, OSError))
    ):
        return NoAnswerError(
            NoAnswer.TLS,
            f"TLS with {place} failed: {_tls_reason(origin, seen.tls_alert or why)}",
            status,
        )
    if isinstance(origin, aiohttp.ClientConnectorError):
        return NoAnswerError(NoAnswer.CONNECT, f"cannot connect to {place}: {why}", status)
    if isinstance(origin, TimeoutError):
        return NoAnswerError(NoAnswer.TIMEOUT, f"{place} took too long", status)
    return NoAnswerError(NoAnswer.PROTOCOL, f"{place} gave no complete HTTP answer: {why}", status)


def _tls_reason(origin: BaseException, fallback: str) -> str:
    for error in (
        getattr(origin, "certificate_error", None),
        getattr(origin, "os_error", None),
        origin,
    ):
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        # aiohttp's own is an SSLError without a reason.
        if isinstance(error, ssl.SSLError) and getattr(error, "reason", None):
            return str(error.reason).replace("_", " ").lower()
    return fallback.replace("_", " ").lower()
