"""How connections are opened: TLS, proxy, and which addresses a socket may lead to."""

import errno
import socket
import ssl
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certifi
import httpx
import pycurl

from exporter.config import url_rules
from exporter.config.config import Tls
from exporter.config.secret import Secret, SecretUnreadableError
from exporter.http.errors import ForbiddenAddressError
from exporter.http.guard import Guard

Options = dict[int, Any]
"""Options of a libcurl handle, by their numbers."""

_RECEIVE_BUFFER_BYTES = 64 * 1024
_OUT_OF_RESOURCES = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,
    }
)


def is_own_limit(number: int) -> bool:
    """Return whether a system error means that this machine lacks files, memory or ports."""
    return number in _OUT_OF_RESOURCES


def tls_options(tls: Tls) -> Options:
    """Return the options for TLS; raises `OSError` when a certificate file cannot be used."""
    # OpenSSL reads the files again for each connection, and would say only there what is wrong.
    context = ssl.create_default_context(cafile=str(tls.ca_file) if tls.ca_file else None)
    options: dict[int, Any] = {
        pycurl.SSLVERSION: pycurl.SSLVERSION_TLSv1_2,
        # A resumed session shows no certificates.
        pycurl.SSL_SESSIONID_CACHE: 0,
        pycurl.OPT_CERTINFO: 1,
    }
    if tls.cert_file:
        context.load_cert_chain(str(tls.cert_file), str(tls.key_file) if tls.key_file else None)
        options[pycurl.SSLCERT] = str(tls.cert_file)
        options[pycurl.SSLKEY] = str(tls.key_file or tls.cert_file)
    if tls.insecure_skip_verify:
        return options | {
            pycurl.SSL_VERIFYPEER: 0,
            pycurl.SSL_VERIFYHOST: 0,
            pycurl.PROXY_SSL_VERIFYPEER: 0,
            pycurl.PROXY_SSL_VERIFYHOST: 0,
        }
    return options | _authorities(tls.ca_file)


def _authorities(ca_file: Path | None) -> Options:
    """Return where the trusted certificates are: libcurl's build does not know this system's."""
    if ca_file is not None:
        return {pycurl.CAINFO: str(ca_file), pycurl.PROXY_CAINFO: str(ca_file)}
    system = ssl.get_default_verify_paths()
    found: dict[int, Any] = {}
    if system.cafile:
        found[pycurl.CAINFO] = found[pycurl.PROXY_CAINFO] = system.cafile
    if system.capath:
        found[pycurl.CAPATH] = found[pycurl.PROXY_CAPATH] = system.capath
    return found or {pycurl.CAINFO: certifi.where(), pycurl.PROXY_CAINFO: certifi.where()}


class Proxy:
    """The proxy of a project, whose address may change in its file.

    ``url`` is None without a proxy; ``options`` are those of a handle that goes through it.
    """

    def __init__(self, url: Secret | None) -> None:
        """Read the address; raises `SecretUnreadableError`, or `ValueError` for no proxy."""
        self._secret = url
        self._text = ""
        self.options: Options = {}
        self.url: httpx.URL | None = None
        if url is not None:
            self._take(url.reveal())

    def changed(self) -> bool:
        """Read the file again, if there is one, and return whether it names another proxy.

        While it names no proxy, the last one stays.
        """
        secret = self._secret
        if secret is None or secret.file is None:
            return False
        before = self.options
        with suppress(SecretUnreadableError, ValueError):
            self._take(secret.reveal())
        return self.options is not before

    def _take(self, text: str) -> None:
        if text == self._text:
            return
        try:
            url = httpx.URL(url_rules.proxy_url(text))
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None
        options: Options = {
            pycurl.PROXY: str(url.copy_with(username=None, password=None)),
            pycurl.PROXYAUTH: pycurl.HTTPAUTH_BASIC,
        }
        if url.userinfo:
            options[pycurl.PROXYUSERNAME] = url.username.encode()
            options[pycurl.PROXYPASSWORD] = url.password.encode()
        self._text, self.options, self.url = text, options, url


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL or in libcurl's lists."""
    return f"[{host}]" if ":" in host else host


class HandedSocket:
    """A socket for libcurl: pycurl connects a duplicate of it, and this one closes with it."""

    def __init__(self, made: socket.socket) -> None:
        self._made = made

    def fileno(self) -> int:
        """Return the descriptor to duplicate."""
        return self._made.fileno()

    def __del__(self) -> None:
        self._made.close()


def open_socket(family: int, kind: int, protocol: int, _address: tuple[Any, ...]) -> socket.socket:
    """Open a socket that is to connect to an address; raises `OSError`."""
    made = socket.socket(family, kind, protocol)
    # What one read can bring is parsed at once, and delays everything else meanwhile.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return made


class Check:
    """Asks a guard about the addresses of one host, and holds connections to those."""

    def __init__(self, guard: Guard, host: str, port: int) -> None:
        self._guard, self._host, self._port = guard, host, port
        self._allowed = {_plain(host)}

    def allowed(self, addresses: list[str]) -> list[str]:
        """Return the allowed ones of the host's addresses; raises `ForbiddenAddressError`."""
        found, refusal = [], None
        for address in addresses:
            try:
                self._guard.check_resolved(self._host, self._port, _plain(address))
            except ForbiddenAddressError as error:
                refusal = error
            else:
                found.append(address)
        if refusal is not None and not found:
            try:
                raise refusal
            finally:
                # Its traceback holds this frame: a circle otherwise.
                del refusal
        self._allowed.update(map(_plain, found))
        return found

    def check(self, address: tuple[Any, ...]) -> None:
        """Check a socket address; raises `ForbiddenAddressError`.

        It must be one that the host has resolved to, however libcurl reads the URL.
        """
        host, port = _plain(str(address[0])), int(address[1])
        if host not in self._allowed or port != self._port:
            raise ForbiddenAddressError(f"{host}:{port} is not an address of {self._host}")
        self._guard.check_resolved(self._host, self._port, host)


@lru_cache(maxsize=1000)
def is_address(host: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _plain(host: str) -> str:
    """Return an IP address in its one form, without brackets or scope; a name as it is."""
    try:
        return str(ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        return host
