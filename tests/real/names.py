"""A name resolver that knows every name, and remembers who asked for which."""

import socket
from collections.abc import Callable, Iterable

from aiohttp.abc import AbstractResolver, ResolveResult


class Names(AbstractResolver):
    """Knows every name by the addresses that ``of`` gives for it."""

    def __init__(self, of: Callable[[str], Iterable[str]]) -> None:
        self._of = of
        self.asked: set[str] = set()
        self.given: dict[str, set[str]] = {}

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the base's
    ) -> list[ResolveResult]:
        self.asked.add(host)
        found = list(self._of(host))
        for address in found:
            self.given.setdefault(address, set()).add(host)
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
