"""Which requests a fault affects, and when."""

from exporter.simulator.faults import Faults
from exporter.simulator.scenario import Fault, FaultKind, Operation, Server

_FLEET = tuple(Server(id=f"id-{number}", name=f"db-{number:03}") for number in range(400))
_CONSOLE = Operation.REMOTE_CONSOLE


def _affected(faults: Faults, project: str = "a", now: float = 0) -> set[str]:
    return {server.id for server in _FLEET if faults.matching(project, _CONSOLE, server.id, now)}


def _faults(*faults: Fault, seed: int = 1) -> Faults:
    return Faults(faults, {"a": _FLEET, "b": _FLEET}, seed)


def test_glob_matches_names_and_ids() -> None:
    assert _affected(_faults(Fault(kind=FaultKind.HANG, servers="db-01?"))) == {
        f"id-{number}" for number in range(10, 20)
    }
    assert _affected(_faults(Fault(kind=FaultKind.HANG, servers="id-7"))) == {"id-7"}


def test_fraction_affects_the_same_share_of_servers_each_time() -> None:
    fault = Fault(kind=FaultKind.HANG, fraction=0.25)
    affected = _affected(_faults(fault))
    assert 70 < len(affected) < 130
    assert _affected(_faults(Fault(kind=FaultKind.SLOW, seconds=1), fault)) >= affected
    assert _affected(_faults(fault)) == affected
    assert _affected(_faults(fault, seed=2)) != affected
    assert _affected(_faults(Fault(kind=FaultKind.HANG, fraction=0.5))) > affected
    assert _affected(_faults(Fault(kind=FaultKind.HANG, fraction=0.0))) == set()
    assert len(_affected(_faults(Fault(kind=FaultKind.HANG, fraction=1.0)))) == 400


def test_fault_is_limited_to_its_project_operation_and_span() -> None:
    faults = _faults(Fault(kind=FaultKind.HANG, project="a", start=5, end=9))
    assert not _affected(faults, now=4)
    assert len(_affected(faults, now=5)) == 400
    assert not _affected(faults, now=9)
    assert not _affected(faults, project="b", now=5)
    assert not faults.matching("a", Operation.LIST_SERVERS, "", 5)


def test_fault_of_any_operation_affects_the_api_but_not_consoles() -> None:
    faults = _faults(Fault(kind=FaultKind.HANG, operation=Operation.ANY))
    affected = {operation for operation in Operation if faults.matching("a", operation, "", 0)}
    assert affected == {Operation.REMOTE_CONSOLE, Operation.LIST_SERVERS, Operation.CREATE_TOKEN}


def test_unlisted_affects_only_the_server_list() -> None:
    faults = _faults(Fault(kind=FaultKind.UNLISTED, servers="id-1"))
    affected = {operation for operation in Operation if faults.matching("a", operation, "id-1", 0)}
    assert affected == {Operation.LIST_SERVERS}


def test_console_fault_affects_only_matching_servers_and_its_operation() -> None:
    faults = _faults(
        Fault(kind=FaultKind.HANG, operation=Operation.CONSOLE_RFB, servers="db-00?", fraction=0.5)
    )
    affected = [
        server.id for server in _FLEET if faults.matching("a", Operation.CONSOLE_RFB, server.id, 0)
    ]
    assert 0 < len(affected) < 10
    assert not any(faults.matching("a", _CONSOLE, server, 0) for server in affected)


def test_server_fault_comes_before_general_fault() -> None:
    general, own = Fault(kind=FaultKind.RESET), Fault(kind=FaultKind.HANG, servers="db-001")
    assert _faults(general, own).matching("a", _CONSOLE, "id-1", 0) == [own, general]


def test_faults_are_added_and_removed() -> None:
    faults = _faults()
    fault = Fault(kind=FaultKind.HANG, servers="db-001")
    faults.add(fault)
    assert _affected(faults) == {"id-1"}
    faults.remove(fault)
    assert not _affected(faults)
