"""The console address: a key to a machine, and data from outside."""

from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import Self

import httpx

from exporter.config.host_pattern import IPAddress, host_of

_URL_MAX = 8192
_PATH_SHOWN_MAX = 200
_PORT_MAX = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}


class AddressError(ValueError):
    """A text is no console address; the message says why and repeats nothing of it."""


@dataclass(frozen=True, slots=True, repr=False)
class ConsoleAddress:
    """An http(s) URL in its one form. Only `place` of it may be shown.

    ``host`` is an ASCII name in lower case, or an IP address.
    """

    url: httpx.URL
    host: str | IPAddress
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL; raises `AddressError` for what a browser would not open, or is a trick."""
        # Some programs take \\ for / and drop tabs and line ends, and so see another host.
        if len(text) > _URL_MAX or not text.isprintable() or " " in text or "\\" in text:
            raise AddressError("is no http(s) URL")
        try:
            url = httpx.URL(text)
            if url.scheme not in _DEFAULT_PORTS or url.userinfo:
                raise AddressError("is no http(s) URL")
            host = host_of(url.raw_host.decode())
        except (httpx.InvalidURL, ValueError):
            raise AddressError("is no http(s) URL") from None
        if url.port is not None and not 0 < url.port <= _PORT_MAX:
            raise AddressError("is no http(s) URL")
        if str(host) != url.raw_host.decode() or url.fragment:
            url = url.copy_with(host=str(host), fragment=None)
        return cls(url, host, url.port or _DEFAULT_PORTS[url.scheme])

    def follow(self, location: str) -> Self:
        """Return where a redirect or a link of this page leads; raises `AddressError`."""
        try:
            return self.parse(str(self.url.join(location)))
        except (httpx.InvalidURL, ValueError):
            raise AddressError("is no http(s) URL") from None

    def at(self, path: str, token: str) -> Self:
        """Return a path of the same host, or relative to this page, with ``token`` in its query.

        Raises `AddressError` when the path leads elsewhere.
        """
        found = self.follow(path)
        if (found.host, found.port, found.url.scheme) != (self.host, self.port, self.url.scheme):
            raise AddressError("leads to another host")
        if token and "token" not in found.url.params:
            return replace(found, url=found.url.copy_merge_params({"token": token}))
        return found

    def query(self, name: str) -> str:
        """Return the first value of a parameter, empty if there is none."""
        return str(self.url.params.get(name, ""))

    @property
    def origin(self) -> str:
        """Return ``scheme://host[:port]``, as browsers send it in ``Origin``."""
        return f"{self.url.scheme}://{self.url.netloc.decode()}"

    @property
    def path(self) -> str:
        """Return the path, which may be shown."""
        return self.url.raw_path.decode().partition("?")[0][:_PATH_SHOWN_MAX]

    @property
    def place(self) -> str:
        """Return host, port and path, which may be shown."""
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else self.host
        return f"{host}:{self.port}{self.path}"

    def __repr__(self) -> str:
        return f"ConsoleAddress({self.place})"
