"""React to signals: SIGHUP reloads the configuration, SIGTERM and SIGINT stop the program."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

from exporter.web.exporter_view import ReloadRefusedError


def handle_signals(reload: Callable[[], Awaitable[None]]) -> asyncio.Event:
    """Call ``reload`` at each SIGHUP; return an event that SIGTERM and SIGINT set."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    reloading: set[asyncio.Task[None]] = set()

    async def reload_on_signal() -> None:
        # The error has been logged.
        with contextlib.suppress(ReloadRefusedError):
            await reload()

    def hang_up() -> None:
        task = loop.create_task(reload_on_signal())
        reloading.add(task)
        task.add_done_callback(reloading.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return ended
