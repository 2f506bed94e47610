"""One libcurl transfer: a request's options, and what its callbacks receive."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx
import pycurl

from exporter.http.body import BodyError, BoundedBody
from exporter.http.connection import Check, HandedSocket, bracketed, open_socket
from exporter.http.error_mapping import socket_error

if TYPE_CHECKING:
    from exporter.http.errors import NoResponseError

DEFAULT_HEADERS = {
    "user-agent": "console-exporter",
    "accept-encoding": "gzip, identity;q=0.5",
}
"""Headers of every request, to the cloud and to consoles, unless the request has its own."""

KEPT_SECONDS = 75
"""How long an idle connection is kept: longer than the usual interval of probes."""

_RESOLVED_SECONDS = 10
_FINAL = 200
_ENCODING = b"content-encoding"
# libcurl writes these itself.
_OWN_HEADERS = frozenset({b"content-length", b"connection", b"transfer-encoding"})
# libcurl adds these unless told otherwise.
_ADDED_HEADERS = (b"accept", b"content-type", b"expect")
_DEFAULT_LINES = [
    (name.encode(), f"{name}: {value}".encode()) for name, value in DEFAULT_HEADERS.items()
]
_OPTIONS: dict[int, Any] = {
    pycurl.NOSIGNAL: 1,
    pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
    pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
    pycurl.PATH_AS_IS: 1,
    pycurl.DNS_CACHE_TIMEOUT: _RESOLVED_SECONDS,
    pycurl.MAXAGE_CONN: KEPT_SECONDS,
    # Not the environment's.
    pycurl.PROXY: "",
    pycurl.NOPROXY: "",
}


class Transfer:
    """One libcurl handle and what it has received; used for one request after the other."""

    def __init__(self, tls: Mapping[int, Any]) -> None:
        self.curl = curl = pycurl.Curl()
        for option, value in (*_OPTIONS.items(), *tls.items()):
            curl.setopt(option, value)
        # Taken by C code: a Python function for each header would cost 3 % of a probe.
        self._lines: list[bytes] = []
        curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        curl.setopt(pycurl.PREREQFUNCTION, self._on_request)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._on_socket)
        curl.setopt(pycurl.RESOLVER_START_FUNCTION, self._on_resolve)
        self._has_route = False
        # The headers that the handle is set to; most requests have the same.
        self._sent_headers: list[tuple[bytes, bytes]] | None = None

    def prepare(self, request: httpx.Request, check: Check | None, *, is_resolved: bool) -> None:
        """Set the handle up for a request, and nothing of the one before.

        ``is_resolved`` tells that no name has to be resolved. A handle that has sent another
        method than GET must not be used again.
        """
        self.check = check
        self._is_resolved = is_resolved
        self._lines.clear()
        self.failure: NoResponseError | BodyError | None = None
        self.must_resolve = False
        self._max_bytes: int = request.extensions.get("max_bytes", 0)
        self._body: BoundedBody | None = None
        self._is_sent = False
        self.is_stale = False
        curl = self.curl
        curl.setopt(pycurl.URL, str(request.url))
        curl.setopt(pycurl.FRESH_CONNECT, 0)
        if self._has_route:
            curl.unsetopt(pycurl.RESOLVE)
            curl.unsetopt(pycurl.CONNECT_TO)
            self._has_route = False
        headers = request.headers.raw
        if headers != self._sent_headers:
            curl.setopt(pycurl.HTTPHEADER, _header_lines(headers))
            self._sent_headers = headers
        self.is_reusable = request.method == "GET"
        if not self.is_reusable:
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, request.content)
            curl.setopt(pycurl.CUSTOMREQUEST, request.method)

    def route(self, option: int, entry: list[str]) -> None:
        """Set one of libcurl's lists that say where to connect, for this request only."""
        self.curl.setopt(option, entry)
        self._has_route = True

    def resolved(self, where: tuple[str, int], addresses: list[str]) -> None:
        """Let libcurl connect to these addresses of a name."""
        host, port = where
        listed = ",".join(map(bracketed, addresses))
        self.route(pycurl.RESOLVE, [f"-{host}:{port}", f"+{host}:{port}:{listed}"])
        self.must_resolve = False
        self._is_sent = False

    def response_status(self) -> int:
        """Return the status of the response, 0 before its headers are complete."""
        # The last line is empty where the headers are complete; trailers may follow the body.
        if self._body is None and (not self._lines or self._lines[-1].strip()):
            return 0
        status = int(self.curl.getinfo(pycurl.RESPONSE_CODE))
        return status if status >= _FINAL else 0

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the response's headers, names in lower case, without ``content-encoding``."""
        return [one for one in self._headers() if one[0] != _ENCODING]

    @property
    def body(self) -> BoundedBody | None:
        """Return the body as far as it came; None before its first byte."""
        return self._body

    def close(self) -> None:
        """Free the handle and its connection."""
        self.curl.close()

    def _on_resolve(self) -> int:
        if self._is_resolved:
            return 0
        self.must_resolve = True
        return 1

    def _on_request(self, *_addresses: object) -> int:
        if not self._is_sent:
            self._is_sent = True
            return int(pycurl.PREREQFUNC_OK)
        # By itself libcurl repeats a request up to five times where kept connections have ended.
        self.is_stale = True
        return int(pycurl.PREREQFUNC_ABORT)

    def _on_socket(self, _purpose: int, address: Any) -> HandedSocket | int:  # noqa: ANN401 - pycurl's
        try:
            if self.check is not None:
                self.check.check(address.addr)
            return HandedSocket(open_socket(*address))
        except OSError as error:
            self.failure = socket_error(error)
            return int(pycurl.SOCKET_BAD)

    def _on_body(self, piece: bytes) -> int:
        try:
            if self._body is None:
                encodings = [value for name, value in self._headers() if name == _ENCODING]
                encoding = b", ".join(encodings).decode("latin-1")
                self._body = BoundedBody(encoding, self._max_bytes)
            self._body.add(piece)
        except BodyError as error:
            self.failure = error
            return 0
        return len(piece)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = []
        for line in self._lines:
            name, separator, value = line.partition(b":")
            if separator:
                headers.append((name.strip().lower(), value.strip()))
            elif line.startswith(b"HTTP/"):
                # What came before was an interim response, or the proxy's.
                headers.clear()
        return headers


def _header_lines(headers: list[tuple[bytes, bytes]]) -> list[bytes]:
    names = {name.lower() for name, _ in headers}
    lines = [
        b"%s: %s" % (name, value) if value else name + b";"
        for name, value in headers
        if name.lower() not in _OWN_HEADERS
    ]
    lines += [line for name, line in _DEFAULT_LINES if name not in names]
    lines += [name + b":" for name in _ADDED_HEADERS if name not in names]
    return lines
