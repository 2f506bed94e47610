"""Time as it is passed in, so that tests can move it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the program knows of time."""

    def time(self) -> float:
        """Return Unix time in seconds."""

    def monotonic(self) -> float:
        """Return seconds since some fixed point; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` have passed."""


class SystemClock:
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
