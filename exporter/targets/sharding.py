"""Share targets and rate limit among several exporters (shards) by rendezvous hashing.

A hash of the target and the shard's index gives each shard a weight; the shard with the highest
weight owns the target. Shards need no coordination. Adding a shard moves only the targets that it
takes over.
"""

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from exporter.config.config import RateLimit
from exporter.model import TargetKey

COUNT_MAX = 1000
AUTO = "auto"

# One digest has the weights of eight shards.
_WEIGHTS = struct.Struct(">8Q")
_ORDINAL = re.compile(r".*-([0-9]{1,9})")


class ShardError(Exception):
    """The shard flags are invalid; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``count`` exporters that share the targets; ``index`` counts from 0."""

    index: int = 0
    count: int = 1

    def owns(self, key: TargetKey) -> bool:
        """Return whether this shard probes a target."""
        return self.owner(key) == self.index

    def owner(self, key: TargetKey) -> int:
        """Return the index of the shard that probes a target."""
        return 0 if self.count == 1 else _owner(key, self.count)

    def share(self, limit: RateLimit) -> RateLimit:
        """Return this shard's equal part of a project's rate limit."""
        return RateLimit(limit.requests_per_second / self.count, max(1, limit.burst // self.count))

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"


# Cached, because reloads and refreshes ask for the same targets again.
@lru_cache(maxsize=100_000)
def _owner(key: TargetKey, count: int) -> int:
    name = "\0".join(key).encode("utf-8", "surrogatepass")
    weights: list[int] = []
    for block in range(0, count, 8):
        salt = block.to_bytes(8, "big")
        weights += _WEIGHTS.unpack(blake2b(name, salt=salt, person=b"shard").digest())
    return max(range(count), key=weights.__getitem__)


UNSHARDED = Shard()
"""A single exporter, which owns every target."""


def shard_of(index: str, count: int, host_name: str) -> Shard:
    """Return the shard for the flags; `AUTO` takes the index from the end of the host name.

    For example, a StatefulSet's pod ``exporter-3`` is shard 3. Raises `ShardError`.
    """
    if not 1 <= count <= COUNT_MAX:
        raise ShardError(f"--shard.count must be from 1 to {COUNT_MAX}")
    if index == AUTO:
        pod = host_name.partition(".")[0]
        found = _ORDINAL.fullmatch(pod)
        if found is None:
            raise ShardError(
                f"--shard.index=auto needs a number at the end of the host name, as in name-3,"
                f" but the host name is {pod!r}: set the index to a number"
            )
        ordinal = int(found[1])
        if ordinal >= count:
            raise ShardError(
                f"the host name {pod!r} means shard {ordinal}, but --shard.count={count} allows"
                f" only 0 to {count - 1}: set the count to the number of replicas"
            )
        return Shard(ordinal, count)
    if not re.fullmatch("[0-9]{1,9}", index) or int(index) >= count:
        raise ShardError(
            f"--shard.index must be auto, or a number from 0 to {count - 1},"
            f" below --shard.count={count}"
        )
    return Shard(int(index), count)
