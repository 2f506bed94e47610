"""Several exporters side by side: which targets are this one's, and its share of the rate limit.

Each shard weighs every target by a hash of the target and of each shard's number; the heaviest
shard has it (rendezvous hashing). Nobody coordinates, and with one shard more only those targets
move that the new one gets.
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

# One digest weighs a target for eight shards.
_WEIGHTS = struct.Struct(">8Q")
_ORDINAL = re.compile(r".*-([0-9]{1,9})")


class ShardError(Exception):
    """The shard's flags make no sense; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``count`` exporters that share the targets; ``index`` counts from 0."""

    index: int = 0
    count: int = 1

    def keeps(self, key: TargetKey) -> bool:
        """Return whether this shard probes a target."""
        return self.owner(key) == self.index

    def owner(self, key: TargetKey) -> int:
        """Return the index of the shard that probes a target."""
        return 0 if self.count == 1 else _owner(key, self.count)

    def share(self, limit: RateLimit) -> RateLimit:
        """Return this shard's part of a project's rate limit."""
        return RateLimit(limit.requests_per_second / self.count, max(1, limit.burst // self.count))

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"


# The same keys are asked for at each reload and refresh.
@lru_cache(maxsize=100_000)
def _owner(key: TargetKey, count: int) -> int:
    name = "\0".join(key).encode("utf-8", "surrogatepass")
    weights: list[int] = []
    for block in range(0, count, 8):
        salt = block.to_bytes(8, "big")
        weights += _WEIGHTS.unpack(blake2b(name, salt=salt, person=b"shard").digest())
    return max(range(count), key=weights.__getitem__)


ALONE = Shard()
"""The only exporter: every target is its own."""


def shard_of(index: str, count: int, host_name: str) -> Shard:
    """Return the shard that the flags mean; `AUTO` takes the index from the end of the host name.

    So a StatefulSet's pod ``exporter-3`` is shard 3. Raises `ShardError`.
    """
    if not 1 <= count <= COUNT_MAX:
        raise ShardError(f"--shard.count must be from 1 to {COUNT_MAX}")
    if index == AUTO:
        pod = host_name.partition(".")[0]
        found = _ORDINAL.fullmatch(pod)
        if found is None:
            raise ShardError(
                f"--shard.index=auto takes the number at the end of the host name, as in name-3,"
                f" and {pod!r} ends with none: give the index as a number"
            )
        ordinal = int(found[1])
        if ordinal >= count:
            raise ShardError(
                f"by its host name {pod!r} this is shard {ordinal}, and --shard.count={count} knows"
                f" 0 to {count - 1}: set the count to the number of replicas"
            )
        return Shard(ordinal, count)
    if not re.fullmatch("[0-9]{1,9}", index) or int(index) >= count:
        raise ShardError(
            f"--shard.index must be auto, or a number from 0 to {count - 1},"
            f" below --shard.count={count}"
        )
    return Shard(int(index), count)
