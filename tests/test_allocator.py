"""Memory that is free in pieces goes back to the system."""

import asyncio
import os

from exporter.allocator import give_back
from tests.real.holdings import holdings

# Too large for Python's own allocator, too small for a mapping each: several lie on a page.
_PIECE_BYTES, _PIECES, _KEPT_OF = 1000, 100_000, 50


class OneTurn:
    """A clock whose second sleep never ends."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.turned = asyncio.Event()

    def time(self) -> float:
        raise NotImplementedError

    def monotonic(self) -> float:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) > 1:
            self.turned.set()
            await asyncio.Event().wait()


async def test_pages_between_what_is_kept_are_given_back() -> None:
    kept = [bytes(_PIECE_BYTES) for _ in range(_PIECES)][::_KEPT_OF]
    in_pieces = holdings(os.getpid()).resident_bytes
    clock = OneTurn()

    giving = asyncio.create_task(give_back(clock))
    await asyncio.wait_for(clock.turned.wait(), 10)
    giving.cancel()

    assert clock.slept == [30.0, 30.0]
    given_back = in_pieces - holdings(os.getpid()).resident_bytes
    assert given_back > 0.8 * _PIECES * _PIECE_BYTES
    assert len(kept) == _PIECES / _KEPT_OF
