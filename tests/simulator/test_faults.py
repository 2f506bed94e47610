"""Whom a fault strikes, and when."""

from exporter.simulator.faults import Faults
from exporter.simulator.scenario import Fault, FaultKind, Operation, Server, Span

_FLEET = tuple(Server(id=f"id-{number}", name=f"db-{number:03}") for number in range(400))
_CONSOLE = Operation.REMOTE_CONSOLE


def _struck(faults: Faults, project: str = "a", now: float = 0) -> set[str]:
    return {server.id for server in _FLEET if faults.striking(project, _CONSOLE, server.id, now)}


def _faults(*faults: Fault, seed: int = 1) -> Faults:
    return Faults(faults, {"a": _FLEET, "b": _FLEET}, seed)


def test_a_glob_is_for_names_and_ids() -> None:
    assert _struck(_faults(Fault(FaultKind.HANG, servers="db-01?"))) == {
        f"id-{number}" for number in range(10, 20)
    }
    assert _struck(_faults(Fault(FaultKind.HANG, servers="id-7"))) == {"id-7"}


def test_a_fraction_strikes_about_so_many_and_always_the_same() -> None:
    fault = Fault(FaultKind.HANG, fraction=0.25)
    struck = _struck(_faults(fault))
    assert 70 < len(struck) < 130
    assert _struck(_faults(Fault(FaultKind.SLOW), fault)) >= struck
    assert _struck(_faults(fault)) == struck
    assert _struck(_faults(fault, seed=2)) != struck
    assert _struck(_faults(Fault(FaultKind.HANG, fraction=0.5))) > struck
    assert _struck(_faults(Fault(FaultKind.HANG, fraction=0.0))) == set()
    assert len(_struck(_faults(Fault(FaultKind.HANG, fraction=1.0)))) == 400


def test_a_fault_keeps_to_its_project_its_operation_and_its_time() -> None:
    faults = _faults(Fault(FaultKind.HANG, project="a", active=Span(start=5, end=9)))
    assert not _struck(faults, now=4)
    assert len(_struck(faults, now=5)) == 400
    assert not _struck(faults, now=9)
    assert not _struck(faults, project="b", now=5)
    assert not faults.striking("a", Operation.LIST_SERVERS, "", 5)


def test_a_fault_of_any_operation_strikes_all_of_the_api_and_none_of_the_console() -> None:
    faults = _faults(Fault(FaultKind.HANG, operation=None))
    struck = {operation for operation in Operation if faults.striking("a", operation, "", 0)}
    assert struck == {Operation.REMOTE_CONSOLE, Operation.LIST_SERVERS, Operation.CREATE_TOKEN}


def test_a_fault_of_the_console_strikes_some_servers_there_and_nowhere_else() -> None:
    faults = _faults(
        Fault(FaultKind.HANG, operation=Operation.CONSOLE_RFB, servers="db-00?", fraction=0.5)
    )
    struck = [
        server.id for server in _FLEET if faults.striking("a", Operation.CONSOLE_RFB, server.id, 0)
    ]
    assert 0 < len(struck) < 10
    assert not any(faults.striking("a", _CONSOLE, server, 0) for server in struck)


def test_the_fault_of_one_server_comes_before_that_of_all() -> None:
    general, own = Fault(FaultKind.RESET), Fault(FaultKind.HANG, servers="db-001")
    assert _faults(general, own).striking("a", _CONSOLE, "id-1", 0) == [own, general]


def test_faults_come_and_go() -> None:
    faults = _faults()
    fault = Fault(FaultKind.HANG, servers="db-001")
    faults.add(fault)
    assert _struck(faults) == {"id-1"}
    faults.remove(fault)
    assert not _struck(faults)
