"""Time as the simulator is given it, so that tests can move it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the simulator knows of time."""

    def time(self) -> float:
        """Return Unix time in seconds."""

    def monotonic(self) -> float:
        """Return seconds since some fixed point; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` have passed."""


class RealClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return the machine's monotonic time in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` have passed."""
        await asyncio.sleep(seconds)
