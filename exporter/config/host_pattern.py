"""Which hosts a console address may lead to: names, wildcards on label borders, addresses."""

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

    Just one of ``name``, ``suffix`` (what follows ``*.``) and ``network`` (one address is a
    network too) is given; ``port`` None stands for every port. ``text`` is the entry as written.
    """

    text: str
    name: str = ""
    suffix: str = ""
    network: IPNetwork | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an entry; raises `ValueError` that says what is wrong and repeats nothing of it."""
        if len(text) > _PATTERN_MAX:
            raise ValueError("it is too long")
        if "://" in text:
            raise ValueError("it is a URL; write its host alone")
        host, port = _without_port(text)
        network = _network(host)
        if network is not None:
            return cls(text, network=network, port=port)
        if host == "*":
            raise ValueError("it allows every host; addresses come from outside, so name a domain")
        wildcard = host.startswith("*.")
        bare = host[2:] if wildcard else host
        if "*" in bare:
            raise ValueError("* can only stand in front, for whole labels")
        name = ascii_name(bare)
        if _looks_numeric(name):
            raise ValueError("it is neither a name nor an IP address")
        return cls(text, suffix=name, port=port) if wildcard else cls(text, name=name, port=port)

    def names(self, host: str | IPAddress, port: int) -> bool:
        """Return whether the entry means this very host, and not only a domain that it is in."""
        if self.port not in {None, port}:
            return False
        if isinstance(host, str):
            return bool(self.name) and host == self.name
        return self.network is not None and host in self.network

    def covers(self, host: str | IPAddress, port: int) -> bool:
        """Return whether ``host``, an ASCII name or an address, is allowed by this entry."""
        if self.names(host, port):
            return True
        if self.port not in {None, port} or not isinstance(host, str) or not self.suffix:
            return False
        return host.endswith(f".{self.suffix}")


def ascii_name(host: str) -> str:
    """Return a host name in its one form: ASCII, lower case, without the dot at the end.

    Raises `ValueError` when it is no host name. Names beyond ASCII are encoded by IDNA 2008 with
    the mapping of UTS 46, as browsers do.
    """
    name = host.removesuffix(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            raise ValueError("it is no host name") from None
    elif "xn--" in name.lower():
        _check_encoded(name)
    name = name.lower()
    if len(name) > _NAME_MAX or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("it is no host name")
    return name


def _check_encoded(name: str) -> None:
    try:
        idna.decode(name)
    except idna.IDNAError:
        raise ValueError("it is no host name") from None


@lru_cache(maxsize=1024)
def host_of(text: str) -> str | IPAddress:
    """Return a URL's host in its one form: an address, else a name as `ascii_name` gives it.

    Raises `ValueError` for what is neither, such as an address with a zone.
    """
    bare = text.removeprefix("[").removesuffix("]")
    if "%" in bare:
        raise ValueError("it is an IP address with a zone")
    try:
        return ip_address(bare)
    except ValueError:
        name = ascii_name(bare)
    # 127.1, 0x7f.1 and 2130706433 are addresses to some programs and names to others.
    if _looks_numeric(name):
        raise ValueError("it is neither a host name nor an IP address")
    return name


def _looks_numeric(name: str) -> bool:
    # The URL standard's rule: a name whose last label is a number is an address, or broken.
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
            raise ValueError("it is no network") from None
        return None
    if "%" in host:
        raise ValueError("it is an IP address with a zone")
    if network.prefixlen == 0:
        raise ValueError("it allows every address")
    if "/" in host and host.partition("/")[0] != str(network.network_address):
        raise ValueError(f"the network that this address is in is written {network}")
    return network


DEFAULT_ALLOWED_HOSTS = (
    HostPattern.parse("*.huaweicloud.com"),
    HostPattern.parse("*.myhuaweicloud.com"),
)
