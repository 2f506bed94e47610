"""Compute the due times of all targets with the same interval, without drift or stored state.

A target is due at every ``k * interval + phase`` of Unix time, where the phase is a stable hash of
its key. The average interval is exact, the load is even, and restarts and reloads move no target.
Phases lie on a grid, so that one wake-up serves all targets of a grid point.
"""

import bisect
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor

from exporter.model import TargetKey

GRID_SECONDS = 0.02
# Upper limit of the rounding error of a slot, for Unix times until the year 2200.
_ROUNDING_SECONDS = 1e-5
# A clock that was years behind must not count years of missed probes.
_MISSED_MAX_SECONDS = 24 * 3600.0


def phase_of(key: TargetKey, interval: float) -> float:
    """Return the phase of a target: a point of the grid in ``[0, interval)``, in seconds."""
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest()
    fraction = int.from_bytes(digest, "big") / 2**64
    return floor(fraction * interval / GRID_SECONDS) * GRID_SECONDS


@dataclass(frozen=True, slots=True)
class Due:
    """A target that is due: ``at`` is its latest slot, ``missed`` counts the slots before it."""

    key: TargetKey
    at: float
    missed: int


class PhaseTable:
    """The phases of all targets that share one interval (seconds).

    ``now`` is Unix time; the first slots that `take` serves are those after it.
    """

    def __init__(self, interval: float, now: float) -> None:
        self.interval = interval
        self._served_until = now
        self._phases: list[float] = []
        self._keys: dict[float, dict[TargetKey, None]] = {}
        # Targets added since the last `take`, with the time at which each was added.
        self._added: dict[TargetKey, float] = {}

    def __bool__(self) -> bool:
        return bool(self._phases)

    def add(self, key: TargetKey, now: float) -> None:
        """Add a target; its first slot is the first one after ``now`` (Unix seconds)."""
        self._added[key] = now
        phase = phase_of(key, self.interval)
        if phase not in self._keys:
            bisect.insort(self._phases, phase)
            self._keys[phase] = {}
        self._keys[phase][key] = None

    def remove(self, key: TargetKey) -> None:
        """Remove a target; raises `KeyError` if it is not in the table."""
        self._added.pop(key, None)
        phase = phase_of(key, self.interval)
        del self._keys[phase][key]
        if not self._keys[phase]:
            del self._keys[phase]
            del self._phases[bisect.bisect_left(self._phases, phase)]

    def next_after(self, moment: float) -> float | None:
        """Return the first slot after ``moment`` (Unix seconds); None if the table is empty."""
        if not self._phases:
            return None
        cycle = floor(moment / self.interval)
        while True:
            start = cycle * self.interval
            index = bisect.bisect_right(self._phases, moment - start)
            while index < len(self._phases):
                # All comparisons use this sum, so that rounding cannot lose a slot.
                if (slot := start + self._phases[index]) > moment:
                    return slot
                index += 1
            cycle += 1

    def take(self, now: float) -> Iterator[Due]:
        """Yield each target that became due since the last call, once, in the order of slots."""
        after = self._served_until
        if now <= after:
            return
        self._served_until = now
        added, self._added = self._added, {}
        slot = self.next_after(max(after, now - self.interval))
        while slot is not None and slot <= now:
            phase = self._phase_at(slot)
            for key in self._keys[phase]:
                since = added.get(key, after)
                if slot > since:
                    since += _ROUNDING_SECONDS
                    yield Due(key, slot, max(0, ceil((slot - since) / self.interval) - 1))
            slot = self.next_after(slot)

    def restart(self, now: float) -> int:
        """Continue from ``now`` after a clock step; return the number of skipped slots.

        Skipped slots are not made up for: no target waits for longer than an interval, and probing
        all targets at once would overload the cloud. After a step back, slots that were already
        served are not served again, unless that would pause all probes for longer than an
        interval. At most the slots of one day are counted.
        """
        after = self._served_until
        if after - self.interval < now <= after:
            return 0
        self._served_until = now
        self._added.clear()
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
