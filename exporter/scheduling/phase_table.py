"""Which targets of one interval are due when: fixed phases, no drift, no memory of the process.

A target is due at every ``k * interval + phase`` of Unix time, where the phase is a stable hash of
its key. So the average interval is exact, the load is even, and neither a restart nor a reload
moves anybody. Phases lie on a grid, so that one wake-up serves all targets of a grid point.
"""

import bisect
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor

from exporter.model import TargetKey

GRID_SECONDS = 0.02
# Where a sum of a slot's parts may be off, in this century and the next.
_ROUNDING_SECONDS = 1e-5
# A clock that was years behind says nothing of probes that were missed.
_MISSED_MAX_SECONDS = 24 * 3600.0


def phase_of(key: TargetKey, interval: float) -> float:
    """Return the phase of a target: a point of the grid in ``[0, interval)``, in seconds."""
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest()
    fraction = int.from_bytes(digest, "big") / 2**64
    return floor(fraction * interval / GRID_SECONDS) * GRID_SECONDS


@dataclass(frozen=True, slots=True)
class Due:
    """A target whose slot has come: ``at`` is its latest one, ``missed`` those before it."""

    key: TargetKey
    at: float
    missed: int


class PhaseTable:
    """The phases of all targets that share one interval (seconds)."""

    def __init__(self, interval: float, now: float) -> None:
        """Serve slots after ``now``, Unix seconds."""
        self.interval = interval
        self._served_until = now
        self._phases: list[float] = []
        self._keys: dict[float, dict[TargetKey, None]] = {}
        # Who came since then, and when.
        self._newcomers: dict[TargetKey, float] = {}

    def __bool__(self) -> bool:
        return bool(self._phases)

    def add(self, key: TargetKey, now: float) -> None:
        """Give ``key`` its phase; its slots are those after ``now``, Unix seconds."""
        self._newcomers[key] = now
        phase = phase_of(key, self.interval)
        if phase not in self._keys:
            bisect.insort(self._phases, phase)
            self._keys[phase] = {}
        self._keys[phase][key] = None

    def remove(self, key: TargetKey) -> None:
        """Take ``key`` off the rota; raises `KeyError` when it is not on it."""
        self._newcomers.pop(key, None)
        phase = phase_of(key, self.interval)
        del self._keys[phase][key]
        if not self._keys[phase]:
            del self._keys[phase]
            del self._phases[bisect.bisect_left(self._phases, phase)]

    def next_after(self, moment: float) -> float | None:
        """Return the first slot after ``moment`` (Unix seconds); None on an empty rota."""
        if not self._phases:
            return None
        cycle = floor(moment / self.interval)
        while True:
            start = cycle * self.interval
            index = bisect.bisect_right(self._phases, moment - start)
            while index < len(self._phases):
                # The sum is what is compared everywhere, so that rounding cannot lose a slot.
                if (slot := start + self._phases[index]) > moment:
                    return slot
                index += 1
            cycle += 1

    def take(self, now: float) -> Iterator[Due]:
        """Yield each target with slots since the last call, up to ``now``, once, in slot order."""
        after = self._served_until
        if now <= after:
            return
        self._served_until = now
        newcomers, self._newcomers = self._newcomers, {}
        slot = self.next_after(max(after, now - self.interval))
        while slot is not None and slot <= now:
            phase = self._phase_at(slot)
            for key in self._keys[phase]:
                since = newcomers.get(key, after)
                if slot > since:
                    since += _ROUNDING_SECONDS
                    yield Due(key, slot, max(0, ceil((slot - since) / self.interval) - 1))
            slot = self.next_after(slot)

    def restart(self, now: float) -> int:
        """Go on from ``now`` after the clock was set, and return how many slots were left out.

        What a clock skipped is not made up for: nobody waited for longer than an interval, and
        all at once would be a storm. What was served stays served, unless that would silence
        everybody for longer than an interval. At most the slots of a day are counted.
        """
        after = self._served_until
        if after - self.interval < now <= after:
            return 0
        self._served_until = now
        self._newcomers.clear()
        since = max(after, now - _MISSED_MAX_SECONDS)
        if now <= since:
            return 0
        return sum(
            len(self._keys[phase])
            * (floor((now - phase) / self.interval) - floor((since - phase) / self.interval))
            for phase in self._phases
        )

    def _phase_at(self, slot: float) -> float:
        start = floor((slot + GRID_SECONDS / 2) / self.interval) * self.interval
        index = bisect.bisect_left(self._phases, slot - start - GRID_SECONDS / 2)
        return self._phases[index]
