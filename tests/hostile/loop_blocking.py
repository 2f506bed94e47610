"""Measure how long the event loop is blocked."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter, thread_time

_TICK = 0.001


@dataclass(slots=True)
class Held:
    """``longest``: the longest time, in seconds of CPU time, that the event loop was blocked."""

    longest: float = 0.0


@asynccontextmanager
async def watching_the_loop() -> AsyncIterator[Held]:
    """Measure the longest blocking of the event loop until the context exits.

    Only CPU time of this thread counts, because other processes may keep the machine busy. Objects
    of earlier tests are frozen, so that garbage collection of them does not count.
    """
    held = Held()

    async def tick() -> None:
        while True:
            at, computed = perf_counter(), thread_time()
            await asyncio.sleep(_TICK)
            late = perf_counter() - at - _TICK
            held.longest = max(held.longest, min(late, thread_time() - computed))

    gc.freeze()
    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        yield held
        # Let the ticker measure the last step of the block.
        await asyncio.sleep(2 * _TICK)
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)
        gc.unfreeze()
