"""Fairness and limits of password checks."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from exporter.web.access.password_checks import (
    WAITING_MAX,
    WAITING_OF_A_CLIENT,
    WAITING_OF_A_NAME,
    PasswordChecks,
    TooManyChecksError,
)


@dataclass
class Harness:
    """Checks that end when released, and the order in which they started."""

    checks: PasswordChecks = field(default_factory=PasswordChecks)
    started: list[str] = field(default_factory=list)
    semaphore: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    tasks: list[asyncio.Task[bool]] = field(default_factory=list)

    def check(self, label: str) -> Callable[[], bool]:
        def blocking() -> bool:
            self.started.append(label)
            self.semaphore.acquire()
            return True

        return blocking

    async def submit(self, client: str, name: str) -> "asyncio.Task[bool]":
        task = asyncio.create_task(self.checks.run(client, name, self.check(f"{client}/{name}")))
        self.tasks.append(task)
        await asyncio.sleep(0)
        return task


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness()
    yield harness
    harness.semaphore.release(1000)
    await asyncio.gather(*harness.tasks, return_exceptions=True)


async def rejected(task: "asyncio.Task[bool]") -> bool:
    await asyncio.sleep(0)
    return task.done() and isinstance(task.exception(), TooManyChecksError)


async def test_new_client_goes_next_although_another_floods(harness: Harness) -> None:
    for number in range(WAITING_OF_A_CLIENT):
        await harness.submit("flood", f"name-{number}")
    new_client = await harness.submit("new-client", "prometheus")
    harness.semaphore.release(3)
    assert await new_client
    # One check was already running, and at most one more of the flood goes first.
    assert harness.started.index("new-client/prometheus") <= 2


async def test_new_name_goes_next_although_another_name_waits(harness: Harness) -> None:
    for _ in range(WAITING_OF_A_NAME + 1):
        await harness.submit("proxy", "admin")
    new_client = await harness.submit("proxy", "prometheus")
    harness.semaphore.release(3)
    assert await new_client
    assert harness.started.index("proxy/prometheus") <= 2


async def test_waiting_checks_per_name_are_limited(harness: Harness) -> None:
    # The first leaves the queue at once and is checked.
    tasks = [await harness.submit("flood", "admin") for _ in range(WAITING_OF_A_NAME + 5)]
    assert sum([await rejected(task) for task in tasks]) >= 4


async def test_waiting_checks_per_client_are_limited(harness: Harness) -> None:
    tasks = [await harness.submit("flood", f"name-{number}") for number in range(100)]
    waiting = [task for task in tasks if not await rejected(task)]
    assert len(waiting) <= WAITING_OF_A_CLIENT + 1


async def test_waiting_checks_of_all_clients_are_limited(harness: Harness) -> None:
    tasks = [
        await harness.submit(f"client-{client}", f"name-{name}")
        for name in range(4)
        for client in range(100)
    ]
    waiting = [task for task in tasks if not await rejected(task)]
    assert len(waiting) <= WAITING_MAX + 1


async def test_full_queue_rejects_a_check_of_the_largest_client(harness: Harness) -> None:
    floods = [
        await harness.submit(f"flood-{number % 8}", f"name-{number}")
        for number in range(WAITING_MAX + 1)
    ]
    new_client = await harness.submit("new-client", "prometheus")
    assert not await rejected(new_client)
    assert sum([await rejected(task) for task in floods]) == 1


async def test_failing_check_affects_only_its_caller(harness: Harness) -> None:
    def fails() -> bool:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await harness.checks.run("a", "a", fails)
    harness.semaphore.release()
    assert await harness.checks.run("a", "a", harness.check("after"))


async def test_checks_run_in_a_thread_with_lower_priority(harness: Harness) -> None:
    def niceness() -> bool:
        mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return threading.current_thread() is not threading.main_thread() and mine >= 10

    assert await harness.checks.run("a", "a", niceness)
    assert os.getpriority(os.PRIO_PROCESS, 0) < 10
