"""Password checks, one at a time beside everything else, in turn for all who ask.

A check takes tens of milliseconds on purpose, so whoever sends passwords can make work. Therefore
few wait, they wait in one lane for each client and user name, and the lanes take turns: somebody
who floods waits behind himself, and the first log-in of somebody else comes next.
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
# So that a probe goes first where there is one processor.
_NICENESS = 10


class TooManyChecksError(Exception):
    """The check was not made, for too many wait; ask again later."""


@dataclass(slots=True, eq=False)
class _Waiting:
    work: Callable[[], bool]
    answer: asyncio.Future[bool]


_Lanes = OrderedDict[str, deque[_Waiting]]


class PasswordChecks:
    """Runs checks in a thread of their own; at most `WAITING_MAX` wait."""

    def __init__(self) -> None:
        """Start nothing until the first check."""
        self._clients: OrderedDict[str, _Lanes] = OrderedDict()
        self._waiting = 0
        self._runner: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "password-check", initializer=_step_back)

    async def run(self, client: str, name: str, work: Callable[[], bool]) -> bool:
        """Return what ``work`` returns, when its turn has come.

        Raises `TooManyChecksError` when too many wait, at once or when others need the place.
        """
        self._make_room(client, name)
        waiting = _Waiting(work, asyncio.get_running_loop().create_future())
        lanes = self._clients.setdefault(client, OrderedDict())
        lanes.setdefault(name, deque()).append(waiting)
        self._waiting += 1
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await waiting.answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            for waiting in self._in_turn():
                try:
                    right = await loop.run_in_executor(self._thread, waiting.work)
                except Exception as error:  # noqa: BLE001 - whoever waits shall have it
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)
                else:
                    if not waiting.answer.done():
                        waiting.answer.set_result(right)
        finally:
            self._runner = None

    def _in_turn(self) -> Iterator[_Waiting]:
        """Yield the first of the next user name of the next client, until nobody waits."""
        while self._clients:
            client, lanes = self._clients.popitem(last=False)
            name, lane = lanes.popitem(last=False)
            waiting = lane.popleft()
            self._waiting -= 1
            # What remains goes to the end of the queue.
            if lane:
                lanes[name] = lane
            if lanes:
                self._clients[client] = lanes
            yield waiting

    def _make_room(self, client: str, name: str) -> None:
        """Refuse the new check, or the last of whoever has more waiting than its asker has."""
        lanes = self._clients.get(client, OrderedDict[str, deque[_Waiting]]())
        own = len(lanes.get(name, ()))
        if own >= WAITING_OF_A_NAME:
            raise TooManyChecksError
        if _size(lanes) >= WAITING_OF_A_CLIENT:
            longest = max(lanes, key=lambda one: len(lanes[one]))
            if len(lanes[longest]) <= own + 1:
                raise TooManyChecksError
            self._refuse_last(client, longest)
        elif self._waiting >= WAITING_MAX:
            crowd = max(self._clients, key=lambda one: _size(self._clients[one]))
            if _size(self._clients[crowd]) <= _size(lanes) + 1:
                raise TooManyChecksError
            theirs = self._clients[crowd]
            self._refuse_last(crowd, max(theirs, key=lambda one: len(theirs[one])))

    def _refuse_last(self, client: str, name: str) -> None:
        lanes = self._clients[client]
        waiting = lanes[name].pop()
        self._waiting -= 1
        if not lanes[name]:
            del lanes[name]
        if not lanes:
            del self._clients[client]
        if not waiting.answer.done():
            waiting.answer.set_exception(TooManyChecksError())


def _size(lanes: _Lanes) -> int:
    return sum(len(lane) for lane in lanes.values())


def _step_back() -> None:
    """Give the checking thread, and no other, a lower priority: on Linux each has its own."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
