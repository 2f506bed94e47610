"""Test that a killed writer loses nothing that it had confirmed as written."""

import os
import signal
import struct
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from exporter.model import ProbeResult, Target, TargetKey
from exporter.outcome import Outcome
from exporter.state import StateStore
from exporter.state.saved_state import SavedProject, SavedState
from exporter.state.saved_target import SavedTarget
from exporter.state.state_file import StateFile
from tests.state.results import TARGET

KILLS = 50
TARGETS = [
    replace(TARGET, key=TargetKey("southwest", f"id-{n}"), name=f"db-{n}") for n in range(60)
]
_ROUND = struct.Struct("<I")


def test_confirmed_writes_survive_fifty_kills(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    random = Random(1)  # noqa: S311 - no secret
    acknowledged = 0
    for _ in range(KILLS):
        acknowledged = killed_while_writing(path, acknowledged, random.uniform(0.0, 0.08))
        killed_at = time.time()
        file = StateFile(path, time.time)
        saved_state = file.load()
        store = StateStore(50, saved_state.target)
        store.reconcile(TARGETS)
        file.close()
        rounds = {state.consecutive_failures for state in store}
        # Transactions are atomic: all servers are in the same round.
        assert len(rounds) == 1
        (reached,) = rounds
        assert acknowledged <= reached <= acknowledged + 1
        for state in store:
            assert state.success is (False if reached else None)
            if state.last:
                assert state.last.error_code == f"round {reached}"
                assert killed_at - state.last.started_at < 10
                assert list(state.history)[-1].error_code == f"round {reached}"
        assert saved_state.project("southwest").login == (f"login {reached}" if reached else None)
        acknowledged = reached
    # At least some rounds were written, even on a slow machine.
    assert acknowledged > KILLS / 5
    assert not list(tmp_path.glob("*.corrupt*"))


def killed_while_writing(path: Path, reached: int, seconds: float) -> int:
    """Write in a child process, kill it, and return the last round that it confirmed."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            write_for_ever(path, writer)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as confirmed:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        rounds = confirmed.read()
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    whole = len(rounds) // _ROUND.size * _ROUND.size
    return _ROUND.unpack(rounds[whole - _ROUND.size : whole])[0] if whole else reached


def write_for_ever(path: Path, confirmed: int) -> None:
    file = StateFile(path, time.time)
    store = StateStore(50, file.load().target)
    store.reconcile(TARGETS)
    while True:
        for target in TARGETS:
            store.record(failed(target, store))
        number = next(iter(store)).consecutive_failures
        targets = {state.target.key: saved for state in store if (saved := SavedTarget.of(state))}
        file.write(SavedState(targets, {"southwest": SavedProject(login=f"login {number}")}))
        os.write(confirmed, _ROUND.pack(number))


def failed(target: Target, store: StateStore) -> ProbeResult:
    state = store.get(target.key)
    number = state.consecutive_failures + 1 if state else 0
    return ProbeResult(target, time.time(), Outcome.TIMEOUT, error_code=f"round {number}")
