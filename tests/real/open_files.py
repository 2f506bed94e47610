"""What this process has open, and that nothing of it stays behind."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_FAREWELL_SECONDS = 5.0


def open_files() -> Counter[str]:
    """Count the open file descriptors by kind, such as ``socket``.

    The event loop opens /dev/null once, for the day on which there is no other descriptor left.
    """
    kinds: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        # The one that the listing itself has open may be gone.
        with suppress(FileNotFoundError):
            kinds[str(descriptor.readlink()).partition(":")[0]] += 1
    del kinds["/dev/null"]
    return kinds


@asynccontextmanager
async def leaving_nothing_behind() -> AsyncIterator[None]:
    """Fail when files or tasks of the block stay, once what is ending has had time to end.

    asyncio ends TLS in the background, where the other side has a say.
    """
    files, tasks = open_files(), len(asyncio.all_tasks())
    yield
    give_up = time.monotonic() + _FAREWELL_SECONDS
    while not (open_files() <= files and len(asyncio.all_tasks()) <= tasks):
        assert time.monotonic() < give_up, (open_files() - files, asyncio.all_tasks())
        await asyncio.sleep(0.01)
