"""Which faults strike a request now."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from exporter.simulator.scenario import (
    CONSOLE_OPERATIONS,
    LOGIN_FAULTS,
    Fault,
    FaultKind,
    Operation,
    Server,
)

_Key = tuple[str, Operation, str]
_NO_FAULTS: tuple[Fault, ...] = ()
_API_OPERATIONS = frozenset(Operation) - CONSOLE_OPERATIONS


class Faults:
    """The faults in force, sorted by whom they strike so that a request finds its own at once."""

    def __init__(
        self, faults: Iterable[Fault], fleets: Mapping[str, Iterable[Server]], seed: int
    ) -> None:
        """Spread ``faults`` over the servers of each project."""
        self._fleets = fleets
        self._seed = seed
        self._all: list[Fault] = []
        self._index: dict[_Key, tuple[Fault, ...]] = {}
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Put these faults in force, and no others."""
        self._all = list(faults)
        index: defaultdict[_Key, list[Fault]] = defaultdict(list)
        for fault in self._all:
            for project in [fault.project] if fault.project else self._fleets:
                for server_id in self._struck(fault, project):
                    for operation in _operations(fault):
                        index[project, operation, server_id].append(fault)
        self._index = {key: tuple(found) for key, found in index.items()}

    def add(self, fault: Fault) -> None:
        """Put one more fault in force."""
        self.replace([*self._all, fault])

    def remove(self, fault: Fault) -> None:
        """End a fault; raises `ValueError` when it is not in force."""
        self._all.remove(fault)
        self.replace(self._all)

    def striking(
        self, project: str, operation: Operation, server_id: str, now: float
    ) -> list[Fault]:
        """Return the faults of one request; those of its server alone come first."""
        own = self._index.get((project, operation, server_id), _NO_FAULTS) if server_id else ()
        of_all = self._index.get((project, operation, ""), _NO_FAULTS)
        return [fault for fault in (*own, *of_all) if fault.active.holds(now)]

    def unlisted(self, project: str, now: float) -> frozenset[str]:
        """Return the ids of the servers that the list of a project misses now."""
        missing: set[str] = set()
        for fault in self._all:
            if fault.kind is FaultKind.UNLISTED and fault.active.holds(now):
                struck = self._struck(fault, project) if fault.project in {None, project} else []
                everything = [server.id for server in self._fleets.get(project, ())]
                missing.update(everything if struck == [""] else struck)
        return frozenset(missing)

    def tokens_revoked_at(self, project: str, now: float) -> float | None:
        """Return when a fault last ended the tokens of a project; None if none has yet."""
        of_logins = self._index.get((project, Operation.CREATE_TOKEN, ""), _NO_FAULTS)
        times = [
            fault.active.begun(now) for fault in of_logins if fault.kind is FaultKind.REVOKE_TOKENS
        ]
        return max((time for time in times if time is not None), default=None)

    def _struck(self, fault: Fault, project: str) -> list[str]:
        """Return the ids of the servers that a fault is for; one empty id means all requests."""
        if fault.servers is None and fault.fraction is None:
            return [""]
        pattern = "*" if fault.servers is None else fault.servers
        struck = [
            server.id
            for server in self._fleets.get(project, ())
            if fnmatchcase(server.name, pattern) or fnmatchcase(server.id, pattern)
        ]
        if fault.fraction is None:
            return struck
        return [server_id for server_id in struck if self._die(fault, server_id) < fault.fraction]

    def _die(self, fault: Fault, server_id: str) -> float:
        """Return a number in [0, 1), the same for the same seed, kind of fault and server."""
        face = f"{self._seed}/{fault.kind}/{fault.status}/{server_id}"
        return int.from_bytes(hashlib.sha256(face.encode()).digest()[:6]) / 2**48


def _operations(fault: Fault) -> Iterable[Operation]:
    if fault.kind in LOGIN_FAULTS:
        return (Operation.CREATE_TOKEN,)
    if fault.kind is FaultKind.UNLISTED:
        return (Operation.LIST_SERVERS,)
    return _API_OPERATIONS if fault.operation is None else (fault.operation,)
