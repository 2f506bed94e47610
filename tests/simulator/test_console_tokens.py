"""Console tokens: lookup, expiry and the maximum kept."""

import time
from uuid import UUID

from exporter.simulator.console_tokens import ConsoleTokens


def test_token_is_a_uuid_and_maps_to_its_server() -> None:
    tokens = ConsoleTokens(lifetime=10)
    first, second = tokens.issue("a", 0), tokens.issue("b", 0)
    assert UUID(first).version == 4
    assert (tokens.find(first, 0), tokens.find(second, 0)) == ("a", "b")
    assert tokens.find("guessed", 0) is None


def test_token_expires() -> None:
    tokens = ConsoleTokens(lifetime=10)
    token = tokens.issue("a", 5)
    assert tokens.find(token, 14.9) == "a"
    assert tokens.find(token, 15) is None


def test_token_is_spent_once() -> None:
    tokens = ConsoleTokens(lifetime=10)
    token = tokens.issue("a", 0)
    assert tokens.spend(token)
    assert not tokens.spend(token)
    assert tokens.find(token, 0) is None


def test_expired_tokens_are_removed_when_new_ones_are_created() -> None:
    tokens = ConsoleTokens(lifetime=10)
    for now in range(1000):
        tokens.issue("a", now)
    assert len(tokens) == 10


def test_oldest_tokens_are_removed_above_the_maximum() -> None:
    tokens = ConsoleTokens(lifetime=1e9)
    oldest = tokens.issue("a", 0)
    began = time.process_time()
    for _ in range(100_000):
        newest = tokens.issue("a", 0)
    for _ in range(10_000):
        newest = tokens.issue("b", 0)
    assert time.process_time() - began < 5
    assert len(tokens) == 100_000
    assert (tokens.find(oldest, 0), tokens.find(newest, 0)) == (None, "b")
