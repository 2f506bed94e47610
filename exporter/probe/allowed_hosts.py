"""Where console addresses may lead: an allow-list, and never into our own network by accident."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from exporter.config.host_pattern import HostPattern, IPAddress, host_of
from exporter.http.errors import ForbiddenAddressError

# An IPv6 address that stands for an IPv4 one: RFC 6052 (NAT64), RFC 3056 (6to4).
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_CURE = "console.allowed_hosts"


class AllowedHosts:
    """Answers whether a console address may be connected to.

    A host must be listed. What a wildcard lists must be https and lead to public addresses; what
    is listed by its own name, address or network may do as it likes, for somebody has vouched
    for it.
    """

    def __init__(self, patterns: tuple[HostPattern, ...]) -> None:
        """Allow what ``patterns`` list."""
        self._patterns = patterns

    def check(self, scheme: str, host: str | IPAddress, port: int) -> None:
        """Check a host in its one form; raises `ForbiddenAddressError`."""
        if self._vouched(host, port):
            return
        if not any(pattern.covers(host, port) for pattern in self._patterns):
            raise ForbiddenAddressError(f"{host}:{port} is not in {_CURE}")
        if scheme != "https":
            raise ForbiddenAddressError(
                f"{host}:{port} speaks plain {scheme}, which would show its token to everybody on"
                f" the way; to probe it all the same list it in {_CURE} by its full name"
            )

    def check_request(self, scheme: str, host: str, port: int) -> None:
        """Check where a request goes to; raises `ForbiddenAddressError`."""
        try:
            known = host_of(host)
        except ValueError:
            raise ForbiddenAddressError(f"the host of the request is not in {_CURE}") from None
        self.check(scheme, known, port)

    def check_resolved(self, host: str, port: int, address: str) -> None:
        """Check one address that a listed name resolves to; raises `ForbiddenAddressError`."""
        found = ip_address(address)
        if _is_public(found) or self._vouched(found, port):
            return
        try:
            known = host_of(host)
        except ValueError:
            known = ""
        if not self._vouched(known, port):
            raise ForbiddenAddressError(
                f"{host} resolves to {found}, which is no public address; if it is right list the"
                f" host by its full name, or its network, in {_CURE}"
            )

    def _vouched(self, host: str | IPAddress, port: int) -> bool:
        return any(pattern.names(host, port) for pattern in self._patterns)


def _is_public(address: IPAddress) -> bool:
    meant = _embedded(address) if isinstance(address, IPv6Address) else address
    return meant.is_global and not meant.is_multicast and not meant.is_reserved


def _embedded(address: IPv6Address) -> IPAddress:
    """Return the IPv4 address that an IPv6 one stands for, else itself."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR and address.sixtofour:
        return address.sixtofour
    return address
