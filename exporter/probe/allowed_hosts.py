"""Check console addresses against the configured allow-list, and keep out private networks."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from exporter.config.host_pattern import HostPattern, IPAddress, host_of
from exporter.http.errors import ForbiddenAddressError

# IPv6 addresses that embed an IPv4 address: RFC 6052 (NAT64), RFC 3056 (6to4).
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_SETTING = "console.allowed_hosts"


class AllowedHosts:
    """The hosts that console connections may use.

    Hosts matched by a wildcard need https and a public IP address. Hosts listed explicitly, by
    full name, address or network, need neither.
    """

    def __init__(self, patterns: tuple[HostPattern, ...]) -> None:
        self._patterns = patterns

    def check(self, scheme: str, host: str | IPAddress, port: int) -> None:
        """Check a normalized host; raises `ForbiddenAddressError`."""
        if self._is_explicit(host, port):
            return
        if not any(pattern.covers(host, port) for pattern in self._patterns):
            raise ForbiddenAddressError(f"{host}:{port} is not in {_SETTING}")
        if scheme != "https":
            raise ForbiddenAddressError(
                f"{host}:{port} uses plain {scheme}, which would expose its token on the network;"
                f" to allow it, list the host by its full name in {_SETTING}"
            )

    def check_request(self, scheme: str, host: str, port: int) -> None:
        """Check the URL of a request; raises `ForbiddenAddressError`."""
        try:
            known = host_of(host)
        except ValueError:
            raise ForbiddenAddressError(f"the host of the request is not in {_SETTING}") from None
        self.check(scheme, known, port)

    def check_resolved(self, host: str, port: int, address: str) -> None:
        """Check one IP address that ``host`` resolves to; raises `ForbiddenAddressError`."""
        found = ip_address(address)
        if _is_public(found) or self._is_explicit(found, port):
            return
        try:
            known = host_of(host)
        except ValueError:
            known = ""
        if not self._is_explicit(known, port):
            raise ForbiddenAddressError(
                f"{host} resolves to {found}, which is not a public address; to allow it, list the"
                f" host by its full name, or its network, in {_SETTING}"
            )

    def _is_explicit(self, host: str | IPAddress, port: int) -> bool:
        return any(pattern.names(host, port) for pattern in self._patterns)


def _is_public(address: IPAddress) -> bool:
    effective = _embedded(address) if isinstance(address, IPv6Address) else address
    return effective.is_global and not effective.is_multicast and not effective.is_reserved


def _embedded(address: IPv6Address) -> IPAddress:
    """Return the IPv4 address that an IPv6 address embeds, else the address itself."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR and address.sixtofour:
        return address.sixtofour
    return address
