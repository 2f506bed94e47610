"""Tests of whose request tests a rejected credential."""

from exporter.cloud.auth.retry_turns import RetryTurns


def test_a_server_that_refused_lets_the_others_go_first() -> None:
    turns = RetryTurns()
    turns.refused("a")
    assert [server for server in "abc" if turns.is_due(server)] == ["b", "c"]


def test_every_server_has_its_turn_in_each_round() -> None:
    turns = RetryTurns()
    tested = ""
    for _ in range(9):
        # In every interval the servers ask in the same order, and only one test is allowed.
        for server in "abcd":
            if turns.is_due(server):
                turns.refused(server)
                tested += server
                break
    assert tested.startswith("abcd")
    assert set(tested[4:]) == set("abcd")


def test_the_only_server_has_every_second_turn() -> None:
    turns = RetryTurns()
    turns.refused("a")
    assert not turns.is_due("a")
    assert turns.is_due("a")
