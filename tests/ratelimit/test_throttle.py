"""Tests of the throttle: order of permits, cancellation and its readings."""

import asyncio
import random
import time
from email.utils import formatdate
from typing import Protocol

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.throttled_fleet import LoopClock, VirtualTimeLoop
from exporter.clock import Clock
from exporter.ratelimit.throttle import Permit, Throttle
from tests.http.responses import received


class FakeClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


def a_429(**headers: str) -> httpx.Response:
    fields = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return received(429, fields, b"", 0.1)


def throttle(clock: Clock, *, rate: float = 1.0, burst: int = 1) -> Throttle:
    return Throttle(requests_per_second=rate, burst=burst, clock=clock)


class Queue:
    """Requests waiting in a throttle, and the order in which they got permits."""

    def __init__(self, subject: Throttle) -> None:
        self.throttle = subject
        self.served: list[str] = []
        self.permits: dict[str, Permit] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def join(self, name: str, due: float) -> None:
        self.tasks[name] = asyncio.create_task(self._wait(name, due))
        await asyncio.sleep(0)

    async def _wait(self, name: str, due: float) -> None:
        self.permits[name] = await self.throttle.permit(due)
        self.served.append(name)


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate(clock: FakeClock) -> None:
    queue = Queue(throttle(clock, rate=2, burst=3))
    for name in "abcde":
        await queue.join(name, 0)
    assert queue.served == ["a", "b", "c"]
    await clock.advance(0.49)
    assert queue.served == ["a", "b", "c"]
    await clock.advance(0.02)
    assert queue.served == ["a", "b", "c", "d"]
    await clock.advance(0.5)
    assert queue.served == ["a", "b", "c", "d", "e"]


async def test_permits_go_by_due_time_and_then_by_order_of_request(
    clock: FakeClock,
) -> None:
    queue = Queue(throttle(clock))
    await queue.throttle.permit(0)
    for name, due in (("late", 9.0), ("first", 5.0), ("second", 5.0), ("early", 1.0)):
        await queue.join(name, due)
    await queue.join("urgent", float("-inf"))
    await clock.advance(5)
    assert queue.served == ["urgent", "early", "first", "second", "late"]


async def test_a_permit_has_the_time_waited_for_it(clock: FakeClock) -> None:
    queue = Queue(throttle(clock))
    first = await queue.throttle.permit(0)
    assert first.waited == 0
    await clock.advance(0.25)
    await queue.join("a", 0)
    await clock.advance(5)
    assert queue.permits["a"].waited == pytest.approx(0.75)
    assert queue.permits["a"].granted_at == pytest.approx(first.granted_at + 1)


async def test_a_429_halves_the_limit_and_sets_the_time_to_resume(clock: FakeClock) -> None:
    subject = throttle(clock, rate=4)
    assert (subject.limit, subject.ceiling, subject.resume_at) == (4, 4, 0)
    subject.answered(await subject.permit(0), 429, a_429())
    assert (subject.limit, subject.ceiling) == (2, 4)
    assert subject.resume_at == clock.time() + 2


@pytest.mark.parametrize("response", [a_429(), None])
async def test_no_permit_is_granted_during_the_cool_down(
    clock: FakeClock, response: httpx.Response | None
) -> None:
    queue = Queue(throttle(clock, rate=4, burst=4))
    queue.throttle.answered(await queue.throttle.permit(0), 429, response)
    await queue.join("a", 0)
    await clock.advance(1.99)
    assert queue.served == []
    await clock.advance(0.02)
    assert queue.served == ["a"]


async def test_waiters_with_a_running_timer_wait_for_the_end_of_the_cool_down(
    clock: FakeClock,
) -> None:
    queue = Queue(throttle(clock))
    permit = await queue.throttle.permit(0)
    await queue.join("a", 0)
    queue.throttle.answered(permit, 429, a_429(retry_after="30"))
    await clock.advance(29.9)
    assert queue.served == []
    await clock.advance(0.2)
    assert queue.served == ["a"]


async def test_a_retry_after_date_is_obeyed(clock: FakeClock) -> None:
    subject = throttle(clock)
    date = formatdate(clock.time() + 42, usegmt=True)
    subject.answered(await subject.permit(0), 429, a_429(retry_after=date))
    assert subject.resume_at == clock.time() + 42


async def test_others_follow_as_soon_as_the_test_request_is_answered(
    clock: FakeClock,
) -> None:
    queue = Queue(throttle(clock, rate=100))
    queue.throttle.answered(await queue.throttle.permit(0), 429, a_429())
    await queue.join("test", 0)
    await queue.join("follower", 1)
    await clock.advance(2.5)
    assert queue.served == ["test"]
    queue.throttle.answered(queue.permits["test"], 200, None)
    await clock.advance(0.001)
    assert queue.served == ["test", "follower"]


async def test_several_429s_of_one_round_trip_halve_the_rate_once(clock: FakeClock) -> None:
    subject = throttle(clock, rate=8, burst=5)
    permits = [await subject.permit(0) for _ in range(5)]
    await clock.advance(0.1)
    for permit in permits:
        subject.answered(permit, 429, a_429())
    assert subject.limit == 4


async def test_the_queue_length_stays_exact_when_waiters_are_cancelled(clock: FakeClock) -> None:
    queue = Queue(throttle(clock))
    await queue.throttle.permit(0)
    for number in range(10):
        await queue.join(str(number), number)
    assert queue.throttle.queue_length == 10
    queue.tasks["0"].cancel()
    queue.tasks["7"].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert queue.throttle.queue_length == 8
    await clock.advance(3)
    assert queue.throttle.queue_length == 5
    assert queue.served == ["1", "2", "3"]


async def test_a_cancelled_wait_uses_up_no_permit(clock: FakeClock) -> None:
    queue = Queue(throttle(clock))
    await queue.throttle.permit(0)
    await queue.join("cancelled", 0)
    await queue.join("next", 1)
    await clock.advance(0.5)
    queue.tasks["cancelled"].cancel()
    await clock.advance(0.51)
    assert queue.served == ["next"]


async def test_a_permit_cancelled_in_the_moment_of_its_grant_goes_to_the_next(
    clock: FakeClock,
) -> None:
    queue = Queue(throttle(clock, rate=1000))
    permit = await queue.throttle.permit(0)
    queue.throttle.answered(permit, 429, a_429())
    await queue.join("test", 0)
    await clock.advance(2)
    await queue.join("cancelled", 1)
    await queue.join("next", 2)
    # The response releases one waiter, which is cancelled before it runs.
    await clock.advance(0.1)
    queue.throttle.answered(queue.permits["test"], 200, None)
    assert queue.throttle.queue_length == 1
    queue.tasks["cancelled"].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert queue.served == ["test", "next"]
    assert queue.throttle.queue_length == 0


async def test_no_timer_is_left_when_the_last_waiter_is_cancelled(clock: FakeClock) -> None:
    before = asyncio.all_tasks()
    queue = Queue(throttle(clock))
    await queue.throttle.permit(0)
    await queue.join("a", 0)
    queue.tasks["a"].cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_single_timer_runs_for_a_queue_of_any_length(clock: FakeClock) -> None:
    before = len(asyncio.all_tasks())
    queue = Queue(throttle(clock))
    await queue.throttle.permit(0)
    for number in range(50):
        await queue.join(str(number), -number)
    assert len(asyncio.all_tasks()) == before + 50 + 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from((0.5, 5.0, 200.0)))
def test_random_cancellations_and_429s_lose_no_permit_and_exceed_no_rate(
    seed: int, burst: int, rate: float
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret

    async def main() -> None:
        loop = asyncio.get_running_loop()
        subject = throttle(LoopClock(), rate=rate, burst=burst)
        granted: list[float] = []

        async def request() -> None:
            await asyncio.sleep(chance.uniform(0, 60))
            permit = await subject.permit(chance.choice((0.0, 1.0, loop.time())))
            granted.append(permit.granted_at)
            await asyncio.sleep(chance.uniform(0, 1))
            subject.answered(permit, chance.choice((200, 200, 200, 404, 429, None)), None)

        tasks = [asyncio.create_task(request()) for _ in range(60)]
        cancelled = chance.sample(tasks, 25)
        for task in cancelled:
            loop.call_later(chance.choice((1.0, chance.uniform(0, 90))), task.cancel)
        # Times out unless every request that was not cancelled gets a permit.
        async with asyncio.timeout(100_000):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.exception() is None for task in tasks if task not in cancelled)
        assert subject.queue_length == 0
        for first, since in enumerate(granted):
            for last in range(first, len(granted)):
                assert last - first + 1 <= burst + rate * (granted[last] - since) + 1e-6

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_many_permits_go_by_due_time_and_then_by_order_of_request(dues: list[float]) -> None:
    async def main() -> None:
        subject = throttle(LoopClock())
        await subject.permit(0)
        served: list[tuple[float, int]] = []

        async def request(due: float, number: int) -> None:
            await subject.permit(due)
            served.append((due, number))

        await asyncio.gather(*(request(due, number) for number, due in enumerate(dues)))
        assert served == sorted(served)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


def test_fifty_thousand_waiters_take_less_than_8_seconds_of_cpu() -> None:
    waiters = 50_000

    async def main() -> None:
        subject = throttle(LoopClock(), rate=10_000)
        order = random.Random(1)  # noqa: S311 - no secret
        tasks = [asyncio.create_task(subject.permit(order.random())) for _ in range(waiters)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert subject.queue_length == 0

    started = time.process_time()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    assert time.process_time() - started < 8
