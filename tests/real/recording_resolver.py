"""A fake name resolver that records the requested names."""

import socket
from collections.abc import Callable, Iterable

from aiohttp.abc import AbstractResolver, ResolveResult


class RecordingResolver(AbstractResolver):
    """Resolve names with ``addresses_of``; record the names and the hosts of each address."""

    def __init__(self, addresses_of: Callable[[str], Iterable[str]]) -> None:
        self._of = addresses_of
        self.requested: set[str] = set()
        self.hosts_by_address: dict[str, set[str]] = {}

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - named by the base class
    ) -> list[ResolveResult]:
        self.requested.add(host)
        found = list(self._of(host))
        for address in found:
            self.hosts_by_address.setdefault(address, set()).add(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Do nothing."""
