"""Match hosts against ``allowed_hosts``: names, wildcards for whole labels, IP networks."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

import idna

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_PATTERN_MAX = 300
_NAME_MAX = 253
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_WITH_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*):(?P<port>[0-9]{1,5})")
_PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One entry of ``allowed_hosts``.

    Exactly one of ``name``, ``suffix`` (the part after ``*.``) and ``network`` (also for a single
    address) is set. ``port`` None means every port. ``text`` is the entry as written.
    """

    text: str
    name: str = ""
    suffix: str = ""
    network: IPNetwork | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an entry. Raises `ValueError`, whose message never repeats the entry."""
        if len(text) > _PATTERN_MAX:
            raise ValueError("it is too long")
        if "://" in text:
            raise ValueError("it is a URL; write only its host")
        host, port = _without_port(text)
        network = _network(host)
        if network is not None:
            return cls(text, network=network, port=port)
        if host == "*":
            raise ValueError("it allows every host; name a domain, as in *.example.com")
        wildcard = host.startswith("*.")
        bare = host[2:] if wildcard else host
        if "*" in bare:
            raise ValueError("* is only allowed as the first label, as in *.example.com")
        name = ascii_name(bare)
        if _looks_numeric(name):
            raise ValueError("it is neither a host name nor an IP address")
        return cls(text, suffix=name, port=port) if wildcard else cls(text, name=name, port=port)

    def names(self, host: str | IPAddress, port: int) -> bool:
        """Return whether this entry lists ``host`` or its network explicitly, not by a wildcard."""
        if self.port not in {None, port}:
            return False
        if isinstance(host, str):
            return bool(self.name) and host == self.name
        return self.network is not None and host in self.network

    def covers(self, host: str | IPAddress, port: int) -> bool:
        """Return whether this entry allows ``host``, an ASCII name or an IP address, in any way."""
        if self.names(host, port):
            return True
        if self.port not in {None, port} or not isinstance(host, str) or not self.suffix:
            return False
        return host.endswith(f".{self.suffix}")


def ascii_name(host: str) -> str:
    """Return a host name in normalized form: ASCII, lower case, without a trailing dot.

    Raises `ValueError` if it is not a host name. Non-ASCII names are encoded by IDNA 2008 with the
    mapping of UTS 46, as browsers do.
    """
    name = host.removesuffix(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            raise ValueError("it is not a host name") from None
    elif "xn--" in name.lower():
        _check_encoded(name)
    name = name.lower()
    if len(name) > _NAME_MAX or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("it is not a host name")
    return name


def _check_encoded(name: str) -> None:
    try:
        idna.decode(name)
    except idna.IDNAError:
        raise ValueError("it is not a host name") from None


@lru_cache(maxsize=1024)
def host_of(text: str) -> str | IPAddress:
    """Return a URL's host as an IP address, or as a name normalized by `ascii_name`.

    Raises `ValueError` for anything else, such as an address with a zone.
    """
    bare = text.removeprefix("[").removesuffix("]")
    if "%" in bare:
        raise ValueError("it is an IP address with a zone")
    try:
        return ip_address(bare)
    except ValueError:
        name = ascii_name(bare)
    # Programs disagree whether 127.1, 0x7f.1 and 2130706433 are addresses or names.
    if _looks_numeric(name):
        raise ValueError("it is neither a host name nor an IP address")
    return name


def _looks_numeric(name: str) -> bool:
    # URL standard: a host whose last label is a number is an IPv4 address or invalid.
    return re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rpartition(".")[2]) is not None


def _without_port(text: str) -> tuple[str, int | None]:
    found = _WITH_PORT.fullmatch(text)
    if not found:
        return text.removeprefix("[").removesuffix("]"), None
    port = int(found["port"])
    if not 0 < port <= _PORT_MAX:
        raise ValueError(f"its port is not from 1 to {_PORT_MAX}")
    return found["host"].removeprefix("[").removesuffix("]"), port


def _network(host: str) -> IPNetwork | None:
    try:
        network = ip_network(host, strict=False)
    except ValueError:
        if "/" in host:
            raise ValueError("it is not a network") from None
        return None
    if "%" in host:
        raise ValueError("it is an IP address with a zone")
    if network.prefixlen == 0:
        raise ValueError("it allows every address")
    if "/" in host and host.partition("/")[0] != str(network.network_address):
        raise ValueError(f"it is an address inside a network; write {network}")
    return network


DEFAULT_ALLOWED_HOSTS = (
    HostPattern.parse("*.huaweicloud.com"),
    HostPattern.parse("*.myhuaweicloud.com"),
)
