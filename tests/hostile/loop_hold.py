"""How long the event loop was held, by whatever ran in it."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter, thread_time

_TICK = 0.001


@dataclass(slots=True)
class Held:
    """The longest time in seconds that nothing else could run, of the CPU's time."""

    longest: float = 0.0


@asynccontextmanager
async def watching_the_loop() -> AsyncIterator[Held]:
    """Measure while the block lasts.

    A machine under test is busy with others: only time that this thread computed counts. Nor does
    it count that Python looks through all that the tests before have left.
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
        # What ran last may have held it.
        await asyncio.sleep(2 * _TICK)
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)
        gc.unfreeze()
