"""Failures are ignored only if the machine stalled."""

import itertools

import pytest

from tests.real import machine_stalls
from tests.real.machine_stalls import retry_if_machine_stalled, retry_until_undisturbed


@pytest.mark.parametrize(("stall_seconds", "tries"), [(1e9, 1), (-1.0, machine_stalls.TRIES)])
async def test_failure_is_retried_only_after_a_stall(
    monkeypatch: pytest.MonkeyPatch, stall_seconds: float, tries: int
) -> None:
    monkeypatch.setattr(machine_stalls, "STALL_SECONDS", stall_seconds)
    calls = []

    @retry_if_machine_stalled
    def fails(word: str) -> None:
        calls.append(word)
        pytest.fail("too late")

    @retry_if_machine_stalled
    async def fails_later(word: str) -> None:
        fails(word)

    with pytest.raises(pytest.fail.Exception, match="too late"):
        fails("once")
    assert calls == ["once"] * tries
    with pytest.raises(pytest.fail.Exception, match="too late"):
        await fails_later("later")
    assert calls == ["once"] * tries + ["later"] * tries**2


@pytest.mark.parametrize(("stall_seconds", "tries"), [(1e9, 1), (-1.0, machine_stalls.TRIES)])
def test_run_is_repeated_after_a_stall_until_the_last_try(
    monkeypatch: pytest.MonkeyPatch, stall_seconds: float, tries: int
) -> None:
    for name in ("STALL_SECONDS", "DISTURBANCE_SECONDS"):
        monkeypatch.setattr(machine_stalls, name, stall_seconds)
    counter = itertools.count(1)
    assert retry_until_undisturbed(lambda: next(counter)) == tries


async def test_successful_retry_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_stalls, "STALL_SECONDS", -1.0)
    outcomes = [AssertionError("late"), None]

    @retry_if_machine_stalled
    async def passes_on_retry() -> str:
        if error := outcomes.pop(0):
            raise error
        return "good"

    assert await passes_on_retry() == "good"
