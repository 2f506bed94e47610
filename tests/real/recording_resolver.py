"""A fake name resolver that records the requested names."""

from collections.abc import Callable, Iterable


class RecordingResolver:
    """Resolves names with ``addresses_of``; records the names and the hosts of each address."""

    def __init__(self, addresses_of: Callable[[str], Iterable[str]]) -> None:
        self._addresses_of = addresses_of
        self.requested: set[str] = set()
        self.hosts_by_address: dict[str, set[str]] = {}

    async def resolve(self, host: str, port: int) -> list[str]:  # noqa: ARG002 - the protocol's
        self.requested.add(host)
        found = list(self._addresses_of(host))
        for address in found:
            self.hosts_by_address.setdefault(address, set()).add(host)
        return found
