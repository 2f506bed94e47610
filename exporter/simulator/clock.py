"""The simulator's clock, which tests replace by one that they advance."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The clock functions that the simulator uses."""

    def time(self) -> float:
        """Return Unix time in seconds."""

    def monotonic(self) -> float:
        """Return seconds since some fixed point; never goes backwards."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` have passed."""


class RealClock:
    """The system clock."""

    def time(self) -> float:
        """Return Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return the system's monotonic time in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` have passed."""
        await asyncio.sleep(seconds)
