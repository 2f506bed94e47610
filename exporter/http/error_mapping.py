"""Say truly why no answer came, from the exceptions that aiohttp raises."""

import errno
import os
import ssl
from time import perf_counter
from traceback import clear_frames

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from exporter.http.connection import Opening
from exporter.http.errors import (
    ConnectionBrokeError,
    ForbiddenAddressError,
    NoResponse,
    NoResponseError,
)

# Our own want of files, memory or ports says nothing of the other side.
_EXHAUSTED = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}
)

_HELD_UP_SECONDS = 0.25

BROKEN = (ConnectionBrokeError, aiohttp.ClientError, HttpProcessingError, OSError)
"""What a transport can raise when a request comes to nothing."""

_WORDS: dict[type, str] = {
    aiohttp.ServerDisconnectedError: "it closed the connection",
    aiohttp.ClientPayloadError: "the body ends too early or is malformed",
    aiohttp.ClientResponseError: "it does not speak HTTP",
    aiohttp.ClientHttpProxyError: "it opens no tunnel",
}


def let_go(error: BaseException) -> None:
    """Empty the frames of an error that is dealt with.

    aiohttp keeps errors in local variables that their own tracebacks hold: garbage in circles,
    which would pile up while a cloud is down.
    """
    link: BaseException | None = error
    while link is not None:
        clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


def out_of_time(what: str, *, since: float, seconds: float, status: int = 0) -> NoResponseError:
    """Say that ``seconds`` since ``since`` (`perf_counter`'s) have gone by, and who took them.

    A deadline that is noticed late says that our own event loop was held up. Then an answer may
    have been there in time and not been looked at, which is no evidence against anybody.
    """
    late = perf_counter() - since - seconds
    if late > _HELD_UP_SECONDS:
        return NoResponseError(
            NoResponse.HELD_UP, f"this exporter was held up itself, by {late:.2g} s", status
        )
    return NoResponseError(NoResponse.TIMEOUT, what, status)


def _of_errno(error: object) -> str:
    """Return the system's words: asyncio puts an address of its own into the error's."""
    number = getattr(error, "errno", None)
    is_system_s = isinstance(error, ConnectionError | TimeoutError) and number in errno.errorcode
    return os.strerror(number) if is_system_s and number is not None else ""


def no_response(
    error: Exception, host: str, port: int, seen: Opening, status: int = 0
) -> NoResponseError:
    """Classify one of `BROKEN`, by its cause where it is but a wrapping."""
    cause = error.__cause__ if isinstance(error, ConnectionBrokeError) else None
    origin = cause if isinstance(cause, Exception) else error
    place = f"{host}:{port}"
    os_error = getattr(origin, "os_error", origin)
    why = (
        _of_errno(os_error)
        or getattr(os_error, "strerror", None)
        or _WORDS.get(type(os_error))
        or "no HTTP"
    )
    if getattr(os_error, "errno", None) in _EXHAUSTED:
        return NoResponseError(NoResponse.EXHAUSTED, f"this machine cannot connect any more: {why}")
    # An alert may come after our side of the handshake, as for a client certificate in TLS 1.3.
    if (
        seen.tls_alert
        or isinstance(origin, aiohttp.ClientSSLError | ssl.SSLError)
        or isinstance(origin.__cause__, ssl.SSLError)
        or (seen.in_handshake and isinstance(origin, OSError))
    ):
        why = _tls_reason(origin, seen.tls_alert or why)
        return NoResponseError(NoResponse.TLS, f"TLS with {place} failed: {why}", status)
    if isinstance(origin, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError):
        return _not_connected(origin, host, place, why)
    if isinstance(origin, TimeoutError):
        return NoResponseError(NoResponse.TIMEOUT, f"{place} took too long", status)
    reason = NoResponse.PROTOCOL
    if isinstance(origin, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not status:
        reason = NoResponse.CLOSED
    return NoResponseError(reason, f"{place} gave no complete HTTP answer: {why}", status)


def _not_connected(
    origin: aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError,
    host: str,
    place: str,
    why: str,
) -> NoResponseError:
    if isinstance(origin, aiohttp.ClientConnectorDNSError):
        if isinstance(origin.os_error, ForbiddenAddressError):
            return NoResponseError(NoResponse.FORBIDDEN, str(origin.os_error))
        return NoResponseError(NoResponse.DNS, f"cannot resolve {host}: {why}")
    if isinstance(origin, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return NoResponseError(NoResponse.CONNECT, f"the proxy refuses or cannot be reached: {why}")
    return NoResponseError(NoResponse.CONNECT, f"cannot connect to {place}: {why}")


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
