"""Parse and check console addresses, which are untrusted input and hold a secret token."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self

import httpx

from exporter.config.host_pattern import IPAddress, host_of

_URL_MAX = 8192
_PATH_SHOWN_MAX = 200
_PORT_MAX = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}
# An unambiguous, already normalized URL. Any other is parsed by httpx, which takes a tenth of a
# probe's CPU time.
_PLAIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?!\.)[A-Za-z0-9._~-]*)+(?:\?[A-Za-z0-9._~=&-]*)?"
)


class AddressError(ValueError):
    """The text is not a usable console address; the message quotes nothing of it."""


@dataclass(frozen=True, slots=True, repr=False)
class ConsoleAddress:
    """A normalized http(s) URL. It is a secret: only `place` and `path` may be shown.

    ``text`` is the whole URL; ``host`` is an ASCII name in lower case, or an IP address.
    """

    text: str
    scheme: str
    host: str | IPAddress
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a URL; raises `AddressError` when it is invalid, not http(s) or ambiguous."""
        # Some programs read \\ as / and drop tabs and line ends, and so see another host.
        if len(text) > _URL_MAX or not text.isprintable() or " " in text or "\\" in text:
            raise AddressError("is not an http(s) URL")
        try:
            if plain := _PLAIN.fullmatch(text):
                scheme, raw_host, number = plain.groups()
                port = None if number is None else int(number)
            else:
                url = httpx.URL(text)
                text, scheme, port = str(url), url.scheme, url.port
                raw_host = url.raw_host.decode()
                if scheme not in _DEFAULT_PORTS or url.userinfo:
                    raise AddressError("is not an http(s) URL")
            host = host_of(raw_host)
            if str(host) != raw_host or "#" in text:
                text = str(httpx.URL(text).copy_with(host=str(host), fragment=None))
        except (httpx.InvalidURL, ValueError):
            raise AddressError("is not an http(s) URL") from None
        if port is not None and not 0 < port <= _PORT_MAX:
            raise AddressError("is not an http(s) URL")
        return cls(text, scheme, host, port or _DEFAULT_PORTS[scheme])

    @property
    def url(self) -> httpx.URL:
        """Return the address as an `httpx.URL`."""
        return httpx.URL(self.text)

    def follow(self, location: str) -> Self:
        """Resolve a redirect or link relative to this page; raises `AddressError`."""
        try:
            return self.parse(str(self.url.join(location)))
        except (httpx.InvalidURL, ValueError):
            raise AddressError("is not an http(s) URL") from None

    def at(self, path: str, token: str) -> Self:
        """Resolve ``path`` relative to this page and add ``token`` to its query.

        Raises `AddressError` when the path leads to another scheme, host or port.
        """
        found = self.follow(path)
        if (found.host, found.port, found.scheme) != (self.host, self.port, self.scheme):
            raise AddressError("leads to another host")
        if token and "token" not in found.url.params:
            return self.parse(str(found.url.copy_merge_params({"token": token})))
        return found

    def query(self, name: str) -> str:
        """Return the first value of a query parameter, empty if there is none."""
        return str(self.url.params.get(name, ""))

    @property
    def origin(self) -> str:
        """Return ``scheme://host[:port]``, as browsers send it in the ``Origin`` header."""
        return f"{self.scheme}://{self.url.netloc.decode()}"

    @property
    def path(self) -> str:
        """Return the path without the query; safe to show."""
        return self.url.raw_path.decode().partition("?")[0][:_PATH_SHOWN_MAX]

    @property
    def place(self) -> str:
        """Return host, port and path; safe to show."""
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else self.host
        return f"{host}:{self.port}{self.path}"

    def __repr__(self) -> str:
        return f"ConsoleAddress({self.place})"
