"""Map libcurl's errors to exceptions that say why there is no response."""

import errno
import os
import re
from time import perf_counter

import pycurl

from exporter.http.connection import is_own_limit
from exporter.http.errors import (
    ForbiddenAddressError,
    NoResponse,
    NoResponseError,
    ProxyFailedError,
    no_response,
)

_TLS = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CRL_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_INVALIDCERTSTATUS,
        pycurl.E_SSL_ENGINE_INITFAILED,
        pycurl.E_USE_SSL_FAILED,
    }
)
_CUT = frozenset(
    {
        pycurl.E_GOT_NOTHING,
        pycurl.E_RECV_ERROR,
        pycurl.E_SEND_ERROR,
        # Our own callback ends libcurl's repeat of a request on another kept connection.
        pycurl.E_ABORTED_BY_CALLBACK,
    }
)
_OWN = frozenset({pycurl.E_OUT_OF_MEMORY, pycurl.E_FAILED_INIT})
_ENDED = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ENETDOWN})
_BLOCKED_SECONDS = 0.25
# As in: error:0A000412:SSL routines::ssl/tls alert bad certificate, errno 0.
_ROUTINE = re.compile(
    r"error:[0-9A-F]{8}:[^:]{0,40}::(?:ssl/tls |tlsv1[0-9]* |sslv3 )?([^,]{1,80})"
)
_PROBLEM = re.compile(r"SSL certificate (?:problem|OpenSSL verify result): ([^,(]{1,120})")
# Not named by pycurl.
_E_WEIRD_SERVER_REPLY = 8
_E_PROXY = 97
_E_TOO_LARGE = 100
_TEXTS = {
    pycurl.E_GOT_NOTHING: "it closed the connection",
    pycurl.E_RECV_ERROR: "it ended the connection",
    pycurl.E_SEND_ERROR: "it ended the connection",
    pycurl.E_ABORTED_BY_CALLBACK: "it ended the connection",
    pycurl.E_PARTIAL_FILE: "the body ends too early",
    pycurl.E_UNSUPPORTED_PROTOCOL: "it does not speak HTTP",
    _E_WEIRD_SERVER_REPLY: "it does not speak HTTP",
    _E_TOO_LARGE: "its headers are too large",
}
# What is wrong on this side, and what to check.
_CHECK_NETWORK = "check this machine's network"
_CONNECT_CURES = {errno.ENETUNREACH: _CHECK_NETWORK, errno.EHOSTUNREACH: _CHECK_NETWORK}
# By OpenSSL's number for why it does not trust a certificate (X509_V_ERR_…).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
_TLS_CURES = {
    _NOT_YET_VALID: "check this machine's clock",
    _EXPIRED: "check this machine's clock, then the server's certificate",
    **dict.fromkeys(_UNKNOWN_ISSUER, "check tls.ca_file"),
}
_PROXY_CURES = {403: "check the proxy's rules", 407: "check proxy_url"}


class Failure:
    """What libcurl tells of a transfer that failed."""

    def __init__(self, curl: pycurl.Curl, code: int, message: str) -> None:
        self.code = code
        self.message = message
        self.connect_status = int(curl.getinfo(pycurl.HTTP_CONNECTCODE))
        self.verify_result = int(curl.getinfo(pycurl.SSL_VERIFYRESULT))
        self.opened = int(curl.getinfo(pycurl.NUM_CONNECTS))
        self.needs_tunnel = curl.getinfo(pycurl.EFFECTIVE_URL).startswith("https:")
        number = int(curl.getinfo(pycurl.OS_ERRNO))
        # After a connection it may be that of another address that was tried.
        is_current = code == pycurl.E_COULDNT_CONNECT or number in _ENDED
        self.os_errno = number if is_current else 0

    @property
    def has_tunnel(self) -> bool:
        """Return whether the proxy has opened a tunnel."""
        return 200 <= self.connect_status < 300  # noqa: PLR2004 - success of CONNECT


def transfer_error(  # noqa: PLR0911, PLR0913 - one for each kind, all that is known
    failure: Failure, host: str, port: int, *, status: int, proxied: bool, stale: bool
) -> NoResponseError:
    """Classify a failed transfer.

    ``status`` is that of a partial response, else 0; ``stale`` tells that libcurl wanted to repeat
    the request, as it does where a kept connection has ended.
    """
    place = f"{host}:{port}"
    code = failure.code
    if is_own_limit(failure.os_errno) or code in _OWN:
        why = os.strerror(failure.os_errno) if failure.os_errno else failure.message
        return no_response(NoResponse.EXHAUSTED, f"this machine cannot connect any more: {why}")
    if proxied and _is_of_proxy(failure):
        return ProxyFailedError(NoResponse.CONNECT, _proxy_text(failure))
    if code in _TLS or (code in _CUT and "alert" in failure.message):
        why = _tls_reason(failure)
        return no_response(NoResponse.TLS, f"TLS with {place} failed: {why}", status)
    if code == pycurl.E_COULDNT_RESOLVE_PROXY:
        return no_response(NoResponse.DNS, "cannot resolve the name of the proxy: check proxy_url")
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return no_response(NoResponse.DNS, f"cannot resolve {host}: check DNS")
    if code == pycurl.E_COULDNT_CONNECT:
        why = _with_cure(_why(failure), _CONNECT_CURES.get(failure.os_errno))
        return no_response(NoResponse.CONNECT, f"cannot connect to {place}: {why}")
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return no_response(NoResponse.TIMEOUT, f"{place} took too long", status)
    closed = code in _CUT and not status
    return no_response(
        NoResponse.CLOSED if closed else NoResponse.PROTOCOL,
        f"{place} gave no complete HTTP response: {_why(failure)}",
        status,
        stale=closed and (stale or not failure.opened),
    )


def deadline_error(text: str, *, since: float, seconds: float, status: int = 0) -> NoResponseError:
    """Return the error for a deadline of ``seconds`` since ``since`` (`perf_counter`'s).

    When the deadline is noticed late, our own event loop was blocked. The response may have been
    there in time without being looked at, which is no evidence against the server.
    """
    late = perf_counter() - since - seconds
    if late > _BLOCKED_SECONDS:
        return no_response(
            NoResponse.BLOCKED, f"the exporter itself was blocked for {late:.2g} s", status
        )
    return no_response(NoResponse.TIMEOUT, text, status)


def socket_error(error: OSError) -> NoResponseError | None:
    """Return the error for a socket that could not be opened; None where libcurl tells more."""
    if isinstance(error, ForbiddenAddressError):
        return no_response(NoResponse.FORBIDDEN, str(error))
    if is_own_limit(error.errno or 0):
        return no_response(
            NoResponse.EXHAUSTED, f"this machine cannot connect any more: {error.strerror}"
        )
    return None


def resolve_error(error: OSError, host: str, *, proxied: bool) -> NoResponseError:
    """Return the error for a name that did not resolve, or may not be connected to.

    ``proxied`` tells that it is the proxy's name.
    """
    if isinstance(error, ForbiddenAddressError):
        return no_response(NoResponse.FORBIDDEN, str(error))
    why = error.strerror or "unknown error"
    if is_own_limit(error.errno or 0):
        return no_response(NoResponse.EXHAUSTED, f"this machine cannot connect any more: {why}")
    if proxied:
        why = f"{why}: check proxy_url and DNS"
        return no_response(NoResponse.DNS, f"cannot resolve the proxy {host}: {why}")
    return no_response(NoResponse.DNS, f"cannot resolve {host}: {why}: check DNS")


def _is_of_proxy(failure: Failure) -> bool:
    """Return whether a transfer through a proxy failed before the server was reached."""
    if failure.code in {pycurl.E_COULDNT_CONNECT, _E_PROXY}:
        return True
    # A kept tunnel was opened by an earlier transfer.
    return failure.needs_tunnel and failure.opened > 0 and not failure.has_tunnel


def _proxy_text(failure: Failure) -> str:
    if status := failure.connect_status:
        cure = _PROXY_CURES.get(status, "check the proxy")
        return f"the proxy answered CONNECT with {status}: {cure}"
    if failure.code in _TLS:
        return f"TLS with the proxy failed: {_tls_reason(failure)}"
    return f"cannot connect to the proxy: {_why(failure)}: check proxy_url"


def _with_cure(why: str, cure: str | None) -> str:
    return f"{why}: {cure}" if cure else why


def _why(failure: Failure) -> str:
    if failure.os_errno in errno.errorcode:
        return os.strerror(failure.os_errno)
    return _TEXTS.get(failure.code) or "no HTTP response"


def _tls_reason(failure: Failure) -> str:
    if found := _PROBLEM.search(failure.message):
        why = found[1].strip().lower()
        if failure.verify_result == _NOT_YET_VALID:
            why = "certificate is not yet valid"
        return _with_cure(why, _TLS_CURES.get(failure.verify_result))
    if found := _ROUTINE.search(failure.message):
        return found[1].strip().lower()
    if "subject name" in failure.message:
        return "the certificate is for another host name"
    if "common name" in failure.message:
        return "the certificate names no host"
    if failure.os_errno in errno.errorcode:
        return os.strerror(failure.os_errno)
    return "the connection ended during the handshake"
