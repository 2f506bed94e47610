"""Run password checks one at a time in a background thread, fairly for all clients.

A check takes tens of milliseconds on purpose, so clients can cause load by sending passwords. The
number of waiting checks is limited, each client and user name has its own queue, and the queues
take turns. A flooding client delays only itself.
"""

import asyncio
import contextlib
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

WAITING_MAX = 64
WAITING_OF_A_CLIENT = 8
WAITING_OF_A_NAME = 2
# Probes go first on a machine with one processor.
_NICENESS = 10


class TooManyChecksError(Exception):
    """The check was not made because too many are waiting; try again later."""


@dataclass(slots=True, eq=False)
class _Waiting:
    check: Callable[[], bool]
    result: asyncio.Future[bool]


_Queues = OrderedDict[str, deque[_Waiting]]
"""The queues of one client, by user name."""


class PasswordChecks:
    """Run checks in a thread of their own; at most `WAITING_MAX` wait.

    The thread starts with the first check.
    """

    def __init__(self) -> None:
        self._clients: OrderedDict[str, _Queues] = OrderedDict()
        self._waiting = 0
        self._runner: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "password-check", initializer=_lower_priority)

    async def run(self, client: str, name: str, check: Callable[[], bool]) -> bool:
        """Wait in the queue of ``client`` and user ``name``, then return the result of ``check``.

        Raises `TooManyChecksError` if too many checks wait, at once or while this one waits.
        """
        self._enforce_limits(client, name)
        waiting = _Waiting(check, asyncio.get_running_loop().create_future())
        queues = self._clients.setdefault(client, OrderedDict())
        queues.setdefault(name, deque()).append(waiting)
        self._waiting += 1
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await waiting.result

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            for waiting in self._round_robin():
                try:
                    matches = await loop.run_in_executor(self._thread, waiting.check)
                except Exception as error:  # noqa: BLE001 - passed on to the caller of `run`
                    if not waiting.result.done():
                        waiting.result.set_exception(error)
                else:
                    if not waiting.result.done():
                        waiting.result.set_result(matches)
        finally:
            self._runner = None

    def _round_robin(self) -> Iterator[_Waiting]:
        """Yield the waiting checks; clients take turns, as do the user names of one client."""
        while self._clients:
            client, queues = self._clients.popitem(last=False)
            name, queue = queues.popitem(last=False)
            waiting = queue.popleft()
            self._waiting -= 1
            # If more checks wait, the name and the client go to the end of their queues.
            if queue:
                queues[name] = queue
            if queues:
                self._clients[client] = queues
            yield waiting

    def _enforce_limits(self, client: str, name: str) -> None:
        """If too many wait, reject the newest check of the longest queue, or else the new one."""
        queues = self._clients.get(client, OrderedDict[str, deque[_Waiting]]())
        own = len(queues.get(name, ()))
        if own >= WAITING_OF_A_NAME:
            raise TooManyChecksError
        if _size(queues) >= WAITING_OF_A_CLIENT:
            longest = max(queues, key=lambda one: len(queues[one]))
            if len(queues[longest]) <= own + 1:
                raise TooManyChecksError
            self._reject_newest(client, longest)
        elif self._waiting >= WAITING_MAX:
            largest = max(self._clients, key=lambda one: _size(self._clients[one]))
            if _size(self._clients[largest]) <= _size(queues) + 1:
                raise TooManyChecksError
            theirs = self._clients[largest]
            self._reject_newest(largest, max(theirs, key=lambda one: len(theirs[one])))

    def _reject_newest(self, client: str, name: str) -> None:
        queues = self._clients[client]
        waiting = queues[name].pop()
        self._waiting -= 1
        if not queues[name]:
            del queues[name]
        if not queues:
            del self._clients[client]
        if not waiting.result.done():
            waiting.result.set_exception(TooManyChecksError())


def _size(queues: _Queues) -> int:
    return sum(len(queue) for queue in queues.values())


def _lower_priority() -> None:
    """Lower the priority of the current thread only; on Linux each thread has its own."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
