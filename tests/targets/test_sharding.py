"""Tests of the assignment of targets to shards, and of the shard flags."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.config import RateLimit
from exporter.model import TargetKey
from exporter.targets.sharding import UNSHARDED, Shard, ShardError, shard_of

KEYS = [
    TargetKey("southwest", f"7c9ad6b8-b87e-43ae-8b3f-{number:012x}") for number in range(20_000)
]
STABLE = [8, 4, 3, 8, 1, 5, 0, 1, 4, 5, 4, 1]


@given(st.builds(TargetKey, st.text(), st.text()), st.integers(1, 40))
def test_every_target_has_exactly_one_owner(key: TargetKey, count: int) -> None:
    owners = [index for index in range(count) if Shard(index, count).owns(key)]
    assert owners == [Shard(0, count).owner(key)]


@pytest.mark.parametrize("count", [2, 3, 9, 20])
def test_shards_have_about_the_same_size(count: int) -> None:
    sizes = Counter(Shard(0, count).owner(key) for key in KEYS)
    mean = len(KEYS) / count
    assert len(sizes) == count
    assert all(abs(size - mean) < 5 * mean**0.5 for size in sizes.values())


@pytest.mark.parametrize("count", [1, 3, 8, 16])
def test_adding_a_shard_moves_only_the_targets_that_it_takes_over(count: int) -> None:
    moved = 0
    for key in KEYS:
        before, after = Shard(0, count).owner(key), Shard(0, count + 1).owner(key)
        assert after in {before, count}
        moved += after != before
    assert abs(moved / len(KEYS) - 1 / (count + 1)) < 0.02


def test_owners_do_not_change_between_releases() -> None:
    # Otherwise servers would not be probed during an update of the shards.
    assert [Shard(0, 10).owner(key) for key in KEYS[:12]] == STABLE


def test_a_single_exporter_owns_every_target() -> None:
    assert all(UNSHARDED.owns(key) for key in KEYS[:100])


def test_the_rate_limit_is_divided_among_the_shards() -> None:
    share = Shard(1, 4).share(RateLimit(10.0, 9))
    assert (share.requests_per_second, share.burst) == (2.5, 2)
    assert Shard(0, 4).share(RateLimit(10.0, 3)).burst == 1
    assert UNSHARDED.share(RateLimit(10.0, 3)) == RateLimit(10.0, 3)


@pytest.mark.parametrize(
    ("index", "count", "host", "shard"),
    [
        ("0", 1, "any", Shard(0, 1)),
        ("2", 3, "any", Shard(2, 3)),
        ("auto", 4, "console-exporter-3", Shard(3, 4)),
        ("auto", 11, "exporter-10.exporter.monitoring.svc.cluster.local", Shard(10, 11)),
    ],
)
def test_valid_flags_select_a_shard(index: str, count: int, host: str, shard: Shard) -> None:
    assert shard_of(index, count, host) == shard


@pytest.mark.parametrize(
    ("index", "count", "host", "message"),
    [
        ("3", 3, "any", "from 0 to 2"),
        ("-1", 3, "any", "from 0 to 2"),
        ("one", 3, "any", "--shard.index must be auto, or a number"),
        ("", 3, "any", "--shard.index must be auto, or a number"),
        ("٣", 9, "any", "--shard.index must be auto, or a number"),
        ("0", 0, "any", "--shard.count must be from 1 to 1000"),
        ("0", 1001, "any", "--shard.count must be from 1 to 1000"),
        ("auto", 3, "laptop", "the host name is 'laptop': set the index to a number"),
        ("auto", 3, "exporter-3", "set the count to the number of replicas"),
        ("auto", 3, "exporter-", "the host name is 'exporter-'"),
    ],
)
def test_invalid_flags_are_rejected_with_a_hint(
    index: str, count: int, host: str, message: str
) -> None:
    with pytest.raises(ShardError, match=message):
        shard_of(index, count, host)
