"""Find the active faults of a request."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from exporter.simulator.scenario import (
    API_OPERATIONS,
    LOGIN_FAULTS,
    Fault,
    FaultKind,
    Operation,
    Server,
)

_Key = tuple[str, Operation, str]
_NO_FAULTS: tuple[Fault, ...] = ()


class Faults:
    """All faults, indexed by project, operation and server ID for constant-time lookup."""

    def __init__(
        self, faults: Iterable[Fault], fleets: Mapping[str, Iterable[Server]], seed: int
    ) -> None:
        self._fleets = fleets
        self._seed = seed
        self._all: list[Fault] = []
        self._index: dict[_Key, tuple[Fault, ...]] = {}
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Replace all faults."""
        self._all = list(faults)
        index: defaultdict[_Key, list[Fault]] = defaultdict(list)
        for fault in self._all:
            for project in [fault.project] if fault.project else self._fleets:
                for server_id in self._affected_servers(fault, project):
                    for operation in _operations(fault):
                        index[project, operation, server_id].append(fault)
        self._index = {key: tuple(found) for key, found in index.items()}

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        self.replace([*self._all, fault])

    def remove(self, fault: Fault) -> None:
        """Remove a fault; raises `ValueError` if it is not set."""
        self._all.remove(fault)
        self.replace(self._all)

    def matching(
        self, project: str, operation: Operation, server_id: str, now: float
    ) -> list[Fault]:
        """Return the active faults of a request; those of its server come first."""
        own = self._index.get((project, operation, server_id), _NO_FAULTS) if server_id else ()
        shared = self._index.get((project, operation, ""), _NO_FAULTS)
        return [fault for fault in (*own, *shared) if fault.active_at(now)]

    def unlisted(self, project: str, now: float) -> frozenset[str]:
        """Return the IDs of the servers that are now missing from a project's list."""
        missing: set[str] = set()
        for fault in self._all:
            if fault.kind is FaultKind.UNLISTED and fault.active_at(now):
                affected = (
                    self._affected_servers(fault, project) if fault.project in {"", project} else []
                )
                everything = [server.id for server in self._fleets.get(project, ())]
                missing.update(everything if affected == [""] else affected)
        return frozenset(missing)

    def tokens_revoked_at(self, project: str, now: float) -> float | None:
        """Return when a fault last revoked a project's tokens; None if never."""
        login_faults = self._index.get((project, Operation.CREATE_TOKEN, ""), _NO_FAULTS)
        times = [
            fault.last_start(now) for fault in login_faults if fault.kind is FaultKind.REVOKE_TOKENS
        ]
        return max((time for time in times if time is not None), default=None)

    def _affected_servers(self, fault: Fault, project: str) -> list[str]:
        """Return the server IDs that a fault affects; a single empty ID means all requests."""
        if not fault.servers and fault.fraction == 1:
            return [""]
        pattern = fault.servers or "*"
        affected = [
            server.id
            for server in self._fleets.get(project, ())
            if fnmatchcase(server.name, pattern) or fnmatchcase(server.id, pattern)
        ]
        if fault.fraction == 1:
            return affected
        return [
            server_id for server_id in affected if self._draw(fault, server_id) < fault.fraction
        ]

    def _draw(self, fault: Fault, server_id: str) -> float:
        """Return a number in [0, 1) that depends only on the seed, the fault and the server."""
        seed = f"{self._seed}/{fault.kind}/{fault.status}/{server_id}"
        return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6]) / 2**48


def _operations(fault: Fault) -> Iterable[Operation]:
    if fault.kind in LOGIN_FAULTS:
        return (Operation.CREATE_TOKEN,)
    if fault.kind is FaultKind.UNLISTED:
        return (Operation.LIST_SERVERS,)
    return API_OPERATIONS if fault.operation is Operation.ANY else (fault.operation,)
