"""Map the exceptions that aiohttp raises to `NoResponseError`."""

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

# A lack of files, memory or ports on this machine says nothing about the server.
_EXHAUSTED = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}
)

_HELD_UP_SECONDS = 0.25

BROKEN = (ConnectionBrokeError, aiohttp.ClientError, HttpProcessingError, OSError)
"""The exceptions of a failed request."""

_REASONS: dict[type, str] = {
    aiohttp.ServerDisconnectedError: "it closed the connection",
    aiohttp.ClientPayloadError: "the body ends too early or is malformed",
    aiohttp.ClientResponseError: "it does not speak HTTP",
    aiohttp.ClientHttpProxyError: "it opens no tunnel",
}


def clear_error_frames(error: BaseException) -> None:
    """Clear the frames of a handled error.

    aiohttp keeps errors in local variables of the frames in their own tracebacks: reference cycles,
    which would pile up while a cloud is down.
    """
    link: BaseException | None = error
    while link is not None:
        clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


def out_of_time(what: str, *, since: float, seconds: float, status: int = 0) -> NoResponseError:
    """Return the error for a timeout of ``seconds`` that began at ``since`` (`perf_counter`).

    If the timeout fires late, the event loop was blocked. Then a response may have arrived in time
    without being read, so it does not count against the server.
    """
    late = perf_counter() - since - seconds
    if late > _HELD_UP_SECONDS:
        return NoResponseError(
            NoResponse.HELD_UP, f"this exporter was held up itself, by {late:.2g} s", status
        )
    return NoResponseError(NoResponse.TIMEOUT, what, status)


def _of_errno(error: object) -> str:
    """Return the system's text for an error, without the address that asyncio adds to it."""
    number = getattr(error, "errno", None)
    is_system_s = isinstance(error, ConnectionError | TimeoutError) and number in errno.errorcode
    return os.strerror(number) if is_system_s and number is not None else ""


def no_response(
    error: Exception, host: str, port: int, seen: Opening, status: int = 0
) -> NoResponseError:
    """Classify one of `BROKEN`; a `ConnectionBrokeError` by its cause."""
    wrapped = error.__cause__ if isinstance(error, ConnectionBrokeError) else None
    cause = wrapped if isinstance(wrapped, Exception) else error
    place = f"{host}:{port}"
    os_error = getattr(cause, "os_error", cause)
    why = (
        _of_errno(os_error)
        or getattr(os_error, "strerror", None)
        or _REASONS.get(type(os_error))
        or "no HTTP"
    )
    if getattr(os_error, "errno", None) in _EXHAUSTED:
        return NoResponseError(NoResponse.EXHAUSTED, f"this machine cannot connect any more: {why}")
    # An alert may arrive after the client's handshake, as for a client certificate in TLS 1.3.
    if (
        seen.tls_alert
        or isinstance(cause, aiohttp.ClientSSLError | ssl.SSLError)
        or isinstance(cause.__cause__, ssl.SSLError)
        or (seen.in_handshake and isinstance(cause, OSError))
    ):
        why = _tls_reason(cause, seen.tls_alert or why)
        return NoResponseError(NoResponse.TLS, f"TLS with {place} failed: {why}", status)
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError):
        return _not_connected(cause, host, place, why)
    if isinstance(cause, TimeoutError):
        return NoResponseError(NoResponse.TIMEOUT, f"{place} took too long", status)
    reason = NoResponse.PROTOCOL
    if isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not status:
        reason = NoResponse.CLOSED
    return NoResponseError(reason, f"{place} gave no complete HTTP answer: {why}", status)


def _not_connected(
    cause: aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError,
    host: str,
    place: str,
    why: str,
) -> NoResponseError:
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        if isinstance(cause.os_error, ForbiddenAddressError):
            return NoResponseError(NoResponse.FORBIDDEN, str(cause.os_error))
        return NoResponseError(NoResponse.DNS, f"cannot resolve {host}: {why}")
    if isinstance(cause, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return NoResponseError(NoResponse.CONNECT, f"the proxy refuses or cannot be reached: {why}")
    return NoResponseError(NoResponse.CONNECT, f"cannot connect to {place}: {why}")


def _tls_reason(cause: BaseException, fallback: str) -> str:
    for error in (
        getattr(cause, "certificate_error", None),
        getattr(cause, "os_error", None),
        cause,
    ):
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        # aiohttp raises an SSLError without a reason.
        if isinstance(error, ssl.SSLError) and getattr(error, "reason", None):
            return str(error.reason).replace("_", " ").lower()
    return fallback.replace("_", " ").lower()
