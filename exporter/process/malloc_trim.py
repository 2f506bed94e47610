"""Give memory back that was needed for a while: glibc keeps it, for a next time that may not come.

Six hundred TLS connections that wait for an answer take 180 MB. When they have ended it is free
but in pieces, and each such outage leaves other pages touched. To give them back takes some
milliseconds, seldom enough and in a thread; Python's own small objects are not among them.
"""

import asyncio
import ctypes

from exporter.clock import Clock

_PERIOD = 30.0


async def give_back(clock: Clock) -> None:
    """Give back what is free, every half a minute until cancelled; nothing where this is not glibc.

    Source: malloc_trim(3), which looks through all arenas since glibc 2.8.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await clock.sleep(_PERIOD)
        await asyncio.to_thread(trim, 0)
