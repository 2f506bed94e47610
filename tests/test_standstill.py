"""What the tests excuse: a machine that stood still, and nothing else."""

import itertools

import pytest

from tests.real import standstill
from tests.real.standstill import undisturbed, unless_the_machine_stood_still


@pytest.mark.parametrize(("stood_seconds", "tries"), [(1e9, 1), (-1.0, standstill.TRIES)])
async def test_a_failure_counts_at_once_where_the_machine_went_on_and_at_last_where_it_did_not(
    monkeypatch: pytest.MonkeyPatch, stood_seconds: float, tries: int
) -> None:
    monkeypatch.setattr(standstill, "STOOD_SECONDS", stood_seconds)
    called = []

    @unless_the_machine_stood_still
    def fails(word: str) -> None:
        called.append(word)
        pytest.fail("it came too late")

    @unless_the_machine_stood_still
    async def fails_later(word: str) -> None:
        fails(word)

    with pytest.raises(pytest.fail.Exception, match="too late"):
        fails("once")
    assert called == ["once"] * tries
    with pytest.raises(pytest.fail.Exception, match="too late"):
        await fails_later("later")
    assert called == ["once"] * tries + ["later"] * tries**2


@pytest.mark.parametrize(("stood_seconds", "tries"), [(1e9, 1), (-1.0, standstill.TRIES)])
def test_a_scene_is_played_again_until_nothing_disturbs_it_or_the_last_try_has_to_do(
    monkeypatch: pytest.MonkeyPatch, stood_seconds: float, tries: int
) -> None:
    for name in ("STOOD_SECONDS", "DISTURBED_SECONDS"):
        monkeypatch.setattr(standstill, name, stood_seconds)
    shown = itertools.count(1)
    assert undisturbed(lambda: next(shown)) == tries


async def test_a_second_try_that_passes_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "STOOD_SECONDS", -1.0)
    outcomes = [AssertionError("late"), None]

    @unless_the_machine_stood_still
    async def passes_at_last() -> str:
        if error := outcomes.pop(0):
            raise error
        return "good"

    assert await passes_at_last() == "good"
