"""The deadline of a probe, which counts only time on the wire."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter


@dataclass(slots=True)
class Deadline:
    """The deadline of one probe, shared by all its stages.

    ``limit`` is the seconds allowed on the wire, ``spent`` those used. ``waited`` is the seconds
    spent waiting for the throttle, which do not count against the limit.
    """

    limit: float
    spent: float = 0.0
    waited: float = 0.0

    @property
    def left(self) -> float:
        """Return the seconds that remain, never below 0."""
        return max(0.0, self.limit - self.spent)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Add the duration of the block to ``spent``."""
        started = perf_counter()
        try:
            yield
        finally:
            self.spent += perf_counter() - started
