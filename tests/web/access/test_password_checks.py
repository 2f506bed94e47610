"""Who waits how long for a password check, and who is sent away."""

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
class Desk:
    """Checks that end when they are let, and the order in which they began."""

    checks: PasswordChecks = field(default_factory=PasswordChecks)
    begun: list[str] = field(default_factory=list)
    let: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    asked: list[asyncio.Task[bool]] = field(default_factory=list)

    def work(self, label: str) -> Callable[[], bool]:
        def check() -> bool:
            self.begun.append(label)
            self.let.acquire()
            return True

        return check

    async def ask(self, client: str, name: str) -> "asyncio.Task[bool]":
        task = asyncio.create_task(self.checks.run(client, name, self.work(f"{client}/{name}")))
        self.asked.append(task)
        await asyncio.sleep(0)
        return task


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    desk.let.release(1000)
    await asyncio.gather(*desk.asked, return_exceptions=True)


async def refused(task: "asyncio.Task[bool]") -> bool:
    await asyncio.sleep(0)
    return task.done() and isinstance(task.exception(), TooManyChecksError)


async def test_a_newcomer_comes_next_though_another_client_has_many_waiting(desk: Desk) -> None:
    for number in range(WAITING_OF_A_CLIENT):
        await desk.ask("flood", f"name-{number}")
    newcomer = await desk.ask("newcomer", "prometheus")
    desk.let.release(3)
    assert await newcomer
    # One was being checked already, one more of the flood at most goes before.
    assert desk.begun.index("newcomer/prometheus") <= 2


async def test_a_name_comes_next_though_another_name_of_the_same_client_waits(desk: Desk) -> None:
    for _ in range(WAITING_OF_A_NAME + 1):
        await desk.ask("proxy", "admin")
    newcomer = await desk.ask("proxy", "prometheus")
    desk.let.release(3)
    assert await newcomer
    assert desk.begun.index("proxy/prometheus") <= 2


async def test_a_name_of_a_client_may_wait_a_few_times_only(desk: Desk) -> None:
    # The first is taken out at once, to be checked.
    tasks = [await desk.ask("flood", "admin") for _ in range(WAITING_OF_A_NAME + 5)]
    assert sum([await refused(task) for task in tasks]) >= 4


async def test_a_client_may_wait_a_few_times_only(desk: Desk) -> None:
    tasks = [await desk.ask("flood", f"name-{number}") for number in range(100)]
    waiting = [task for task in tasks if not await refused(task)]
    assert len(waiting) <= WAITING_OF_A_CLIENT + 1


async def test_all_clients_together_may_wait_a_bounded_number_of_times(desk: Desk) -> None:
    tasks = [
        await desk.ask(f"client-{client}", f"name-{name}")
        for name in range(4)
        for client in range(100)
    ]
    waiting = [task for task in tasks if not await refused(task)]
    assert len(waiting) <= WAITING_MAX + 1


async def test_where_all_places_are_taken_whoever_has_most_gives_one_up(desk: Desk) -> None:
    floods = [
        await desk.ask(f"flood-{number % 8}", f"name-{number}") for number in range(WAITING_MAX + 1)
    ]
    newcomer = await desk.ask("newcomer", "prometheus")
    assert not await refused(newcomer)
    assert sum([await refused(task) for task in floods]) == 1


async def test_a_failing_check_fails_for_its_asker_alone(desk: Desk) -> None:
    def fails() -> bool:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await desk.checks.run("a", "a", fails)
    desk.let.release()
    assert await desk.checks.run("a", "a", desk.work("after"))


async def test_checks_run_beside_the_event_loop_at_a_lower_priority(desk: Desk) -> None:
    def niceness() -> bool:
        mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return threading.current_thread() is not threading.main_thread() and mine >= 10

    assert await desk.checks.run("a", "a", niceness)
    assert os.getpriority(os.PRIO_PROCESS, 0) < 10
