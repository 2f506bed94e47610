"""Parse and check console addresses, which are untrusted input and hold a secret token."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self
from urllib.parse import unquote

import httpx

from exporter.config.host_pattern import IPAddress, host_of
from exporter.config.url_rules import DEFAULT_PORTS

_URL_MAX = 8192
_PATH_SHOWN_MAX = 200
_PORT_MAX = 65535
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

    ``text`` is the URL without its fragment, which is for the page alone and not sent; ``host`` is
    an ASCII name in lower case, or an IP address.
    """

    text: str
    scheme: str
    host: str | IPAddress
    port: int
    fragment: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a URL; raises `AddressError` when it is invalid, not http(s) or ambiguous."""
        # Some programs read \\ as / and drop tabs and line ends, and so see another host.
        if len(text) > _URL_MAX or not text.isprintable() or " " in text or "\\" in text:
            raise AddressError("is not an http(s) URL")
        text, _, fragment = text.partition("#")
        try:
            if plain := _PLAIN.fullmatch(text):
                scheme, raw_host, number = plain.groups()
                port = None if number is None else int(number)
            else:
                url = httpx.URL(text)
                text, scheme, port = str(url), url.scheme, url.port
                raw_host = url.raw_host.decode()
                if scheme not in DEFAULT_PORTS or url.userinfo:
                    raise AddressError("is not an http(s) URL")
            host = host_of(raw_host)
            if str(host) != raw_host:
                text = str(httpx.URL(text).copy_with(host=str(host)))
        except (httpx.InvalidURL, ValueError):
            raise AddressError("is not an http(s) URL") from None
        if port is not None and not 0 < port <= _PORT_MAX:
            raise AddressError("is not an http(s) URL")
        return cls(text, scheme, host, port or DEFAULT_PORTS[scheme], fragment)

    @property
    def url(self) -> httpx.URL:
        """Return the address as an `httpx.URL`."""
        return httpx.URL(self.text)

    def follow(self, location: str) -> Self:
        """Resolve a redirect or link relative to this page; raises `AddressError`.

        As in browsers, this page's fragment stays if the location has none.
        """
        target, separator, fragment = location.partition("#")
        try:
            found = str(self.url.join(target))
        except (httpx.InvalidURL, ValueError):
            raise AddressError("is not an http(s) URL") from None
        return self.parse(f"{found}#{fragment if separator else self.fragment}")

    def with_token(self, token: str) -> Self:
        """Add ``token`` to the query, unless it has one."""
        if token and "token" not in self.url.params:
            return self.parse(str(self.url.copy_merge_params({"token": token})))
        return self

    def setting(self, name: str) -> str:
        """Return a setting of the page, empty if there is none.

        noVNC reads the last one in the fragment, else the last one in the URL, and decodes ``%``
        but not ``+`` (``getConfigVar`` in its ``webutil.js``).
        """
        found = re.match(rf".*[&#]{name}=([^&]*)", f"#{self.fragment}") or re.match(
            rf".*[?&]{name}=([^&#]*)", f"{self.text}#{self.fragment}"
        )
        return unquote(found[1]) if found else ""

    @property
    def origin(self) -> str:
        """Return ``scheme://host[:port]``, as browsers send it in the ``Origin`` header."""
        return f"{self.scheme}://{self.url.netloc.decode()}"

    @property
    def bracketed_host(self) -> str:
        """Return the host as it stands in a URL."""
        return f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)

    @property
    def path(self) -> str:
        """Return the path without the query; safe to show."""
        return self.url.raw_path.decode().partition("?")[0][:_PATH_SHOWN_MAX]

    @property
    def place(self) -> str:
        """Return host, port and path; safe to show."""
        return f"{self.bracketed_host}:{self.port}{self.path}"

    def __repr__(self) -> str:
        return f"ConsoleAddress({self.place})"
