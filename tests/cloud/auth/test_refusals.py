"""Tests of who is at fault for a 401: a credential or one server."""

from math import log2
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cloud.auth.refusals import Refusals
from tests.conftest import FakeClock as Clock

if TYPE_CHECKING:
    from tests.conftest import FakeClock

ANSWERS = st.lists(st.tuples(st.integers(0, 5).map(str), st.booleans()), max_size=180)


@pytest.fixture
def refusals(clock: "FakeClock") -> Refusals:
    return Refusals(clock)


def test_a_credential_that_was_never_accepted_is_at_fault_at_once(refusals: Refusals) -> None:
    assert refusals.refused("a", 0.1)


def test_two_refusals_in_a_row_are_the_fault_of_an_accepted_credential(refusals: Refusals) -> None:
    for server in "abc":
        refusals.accepted(server)
    assert not refusals.refused("b", 0.0)
    assert refusals.refused("c", 0.0)


def test_one_refusal_by_the_only_server_that_accepted_it_is_the_fault_of_the_credential(
    refusals: Refusals,
) -> None:
    refusals.accepted("")
    refusals.accepted("a")
    refusals.accepted("a")
    assert refusals.refused("a", 0.0)


async def test_refusals_of_requests_sent_before_another_was_accepted_do_not_count(
    refusals: Refusals, clock: "FakeClock"
) -> None:
    await clock.advance(1)
    for server in "abc":
        refusals.accepted(server)
    await clock.advance(1)
    for number in range(9):
        assert not refusals.refused(f"sent-before-{number}", 1.5)
    assert not refusals.refused("b", 0.5)
    assert refusals.refused("c", 0.5)


def test_servers_that_always_refuse_do_not_count(refusals: Refusals) -> None:
    for _ in range(50):
        for number in range(8):
            refusals.accepted(f"good-{number}")
        assert not any(refusals.refused(f"bad-{number}", 0.0) for number in range(8))


def test_servers_that_begin_to_refuse_count_once(refusals: Refusals) -> None:
    verdicts = []
    for number in range(8):
        refusals.accepted(f"bad-{number}")
    for _ in range(50):
        refusals.accepted("good")
        verdicts.append(sum(refusals.refused(f"bad-{number}", 0.0) for number in range(8)))
    assert verdicts == [3] + [0] * 49


def test_a_revoked_credential_is_noticed_among_servers_that_always_refuse(
    refusals: Refusals,
) -> None:
    for number in range(8):
        refusals.accepted("good-1")
        refusals.refused(f"bad-{number}", 0.0)
    refusals.accepted("good-2")
    judged = [refusals.refused(server, 0.0) for server in ("bad-1", "good-1", "bad-2", "good-2")]
    assert judged == [False, False, False, True]


def test_a_new_credential_is_not_judged_by_servers_that_always_refuse(refusals: Refusals) -> None:
    refusals.accepted("good")
    refusals.refused("bad", 0.0)
    refusals.accepted("good")
    refusals.issued()
    assert not refusals.refused("bad", 0.0)
    assert refusals.refused("good", 0.0)


def test_a_dead_credential_is_noticed_if_only_servers_that_refused_before_are_left(
    refusals: Refusals,
) -> None:
    refusals.accepted("removed")
    refusals.refused("bad", 0.0)
    refusals.accepted("removed")
    refusals.accepted("removed, too")
    assert [refusals.refused("bad", 0.0) for _ in range(3)] == [False, False, True]


@given(ANSWERS)
def test_verdicts_are_bounded_by_the_logarithm_of_the_refusals(
    answers: list[tuple[str, bool]],
) -> None:
    refusals = Refusals(Clock())
    refusals.accepted("first")
    verdicts = refused = 0
    for server, is_accepted in answers:
        if is_accepted:
            refusals.accepted(server)
            continue
        refused += 1
        if refusals.refused(server, 0.0):
            verdicts += 1
            refusals.issued()
            # The next one is accepted before it is refused, so it counts as an accepted one.
            refusals.accepted(server)
    assert verdicts <= 2 + log2(max(refused, 1))


@given(ANSWERS)
def test_a_credential_refused_by_all_is_at_fault_after_two_rounds_and_the_limit(
    answers: list[tuple[str, bool]],
) -> None:
    refusals = Refusals(Clock())
    refusals.accepted("0")
    verdicts = 0
    for server, is_accepted in answers:
        if is_accepted:
            refusals.accepted(server)
        elif refusals.refused(server, 0.0):
            verdicts += 1
            refusals.issued()
            refusals.accepted(server)
    limit = 2 ** max(1, verdicts - 1)
    # Each server's first refusal may not count.
    asked = [str(number % 6) for number in range(limit + 6)]
    assert any(refusals.refused(server, 0.0) for server in asked)


def test_the_limit_doubles_after_three_verdicts_until_there_was_a_calm_time(
    refusals: Refusals,
) -> None:
    def refusals_for_verdict() -> int:
        refusals.accepted("a")
        refusals.accepted("b")
        count = 1
        while not refusals.refused("a", 0.0):
            count += 1
        refusals.issued()
        return count

    assert [refusals_for_verdict() for _ in range(6)] == [2, 2, 2, 4, 8, 16]
    for _ in range(200):
        refusals.accepted("a")
    assert [refusals_for_verdict() for _ in range(4)] == [2, 2, 2, 4]
