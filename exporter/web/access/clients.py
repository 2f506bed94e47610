"""Identify clients by address, for fair shares and limits."""

from ipaddress import IPv6Address, ip_address, ip_network

UNKNOWN = "-"
"""Clients without an address: those of a Unix socket."""
_IPV6_SITE = 64


def client_of(host: str | None) -> str:
    """Return the identity of a client for limits: its IPv4 address, or its IPv6 /64 network.

    One IPv6 client usually has a whole /64 to choose addresses from.
    """
    try:
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return UNKNOWN
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _IPV6_SITE), strict=False))
