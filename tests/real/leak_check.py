"""Count the open files of this process and detect leaks."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_CLEANUP_SECONDS = 5.0


def open_files() -> Counter[str]:
    """Count the open file descriptors by kind, such as ``socket``.

    /dev/null is not counted: the event loop keeps one as a reserve descriptor.
    """
    kinds: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        # The descriptor of the listing itself may be closed.
        with suppress(FileNotFoundError):
            kinds[str(descriptor.readlink()).partition(":")[0]] += 1
    del kinds["/dev/null"]
    return kinds


@asynccontextmanager
async def asserting_no_leaks() -> AsyncIterator[None]:
    """Fail if open files or tasks of the block remain after a few seconds.

    asyncio closes TLS connections in the background, which depends on the peer.
    """
    files, tasks = open_files(), len(asyncio.all_tasks())
    yield
    deadline = time.monotonic() + _CLEANUP_SECONDS
    while not (open_files() <= files and len(asyncio.all_tasks()) <= tasks):
        assert time.monotonic() < deadline, (open_files() - files, asyncio.all_tasks())
        await asyncio.sleep(0.01)
