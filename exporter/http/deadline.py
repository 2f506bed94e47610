"""The deadline of one probe, which counts time on the wire only."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter


@dataclass(slots=True)
class Deadline:
    """The deadline of one probe, all stages together.

    ``limit`` seconds may be spent on the wire; ``waited`` is the time spent waiting for permits,
    which says nothing about the console.
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
        """Count the time that the block takes as spent on the wire."""
        started = perf_counter()
        try:
            yield
        finally:
            self.spent += perf_counter() - started
