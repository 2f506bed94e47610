"""Who is who among clients, for shares and limits."""

from ipaddress import IPv6Address, ip_address, ip_network

UNKNOWN = "-"
"""Clients without an address: those of a Unix socket."""
_IPV6_SITE = 64


def client_of(host: str | None) -> str:
    """Return what a client counts as: its address, or its network where it can choose from many.

    An IPv6 client has a whole /64 to itself.
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
