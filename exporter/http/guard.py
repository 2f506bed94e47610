"""Restrict outgoing connections to allowed hosts.

A guard is asked where a request names its host, redirects included, and again with each IP address
before a socket is opened to it. A name that resolves differently a moment later gains nothing.
"""

from typing import Protocol


class Guard(Protocol):
    """Knows the allowed hosts; every check raises `ForbiddenAddressError`."""

    def check_request(self, scheme: str, host: str, port: int) -> None:
        """Check the host that a request names."""

    def check_resolved(self, host: str, port: int, address: str) -> None:
        """Check one IP address that ``host`` resolves to."""
