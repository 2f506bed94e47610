"""Simulate a fleet that sends requests through a real `Throttle` to a quota, in virtual time.

The event loop's clock jumps to the next timer, so an hour takes seconds, and every run of a
scenario gives the same result.
"""

import asyncio
import random
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from exporter.ratelimit.throttle import Permit, Throttle
from tests.http.responses import received

SETTLING = 300.0
"""Seconds after which the rate counts as settled."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: its clock starts at 0 and jumps to the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        """Return virtual seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Move the clock."""
        self._now += seconds


class _Jump(selectors.SelectSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout:
            self._loop.jump(timeout)
        return super().select(0)


class LoopClock:
    """The running event loop's time as a `Clock`."""

    def time(self) -> float:
        """Return virtual Unix seconds."""
        return 1_800_000_000.0 + self.monotonic()

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Return after virtual seconds."""
        await asyncio.sleep(seconds)


@dataclass
class TokenBucket:
    """A quota that refills evenly and allows ``burst`` requests at once."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    filled_at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def admits(self, now: float) -> bool:
        """Return whether a request at ``now`` is allowed."""
        self.tokens = min(self.burst, self.tokens + self.rate * (now - self.filled_at))
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def opens_in(self, now: float) -> float:
        """Return the seconds until the next request is allowed."""
        del now
        return max(0.0, (1 - self.tokens) / self.rate)

    def policy(self) -> str:
        """Return the policy in the gateway's format."""
        return f"limit:{round(self.rate * 60)},time:1 minute"


@dataclass
class FixedWindow:
    """A quota of ``count`` requests in each window of ``seconds``; windows start at 0."""

    rate: float
    seconds: float
    window: int = -1
    used: int = 0

    @property
    def count(self) -> int:
        """Return the requests that each window allows."""
        return max(1, round(self.rate * self.seconds))

    def admits(self, now: float) -> bool:
        """Return whether a request at ``now`` is allowed."""
        window = int(now // self.seconds)
        if window != self.window:
            self.window, self.used = window, 0
        if self.used >= self.count:
            return False
        self.used += 1
        return True

    def opens_in(self, now: float) -> float:
        """Return the seconds until the window ends."""
        return self.seconds - now % self.seconds

    def policy(self) -> str:
        """Return the policy in the gateway's format."""
        return f"limit:{round(self.rate * self.seconds)},time:{round(self.seconds)} second"


QuotaSpec = TokenBucket | FixedWindow


@dataclass(frozen=True)
class Scenario:
    """A fleet, its rate limit, and a quota that applies from 0 to ``returns_at`` seconds.

    ``hint`` is the content of a 429: empty, ``retry-after`` or ``policy``. ``others`` is the mean
    rate of other users of the quota, which send in bursts.
    """

    servers: int
    interval: float
    ceiling_over_demand: float
    quota: Callable[[float], QuotaSpec]
    round_trip: tuple[float, float] = (0.05, 0.3)
    hint: str = ""
    others: float = 0.0
    burst: int = 5
    returns_at: float = 1800.0
    seed: int = 1

    @property
    def demand(self) -> float:
        """Return the demanded rate in probes a second."""
        return self.servers / self.interval


@dataclass
class Figures:
    """The results of a scenario; gaps without a verdict are in intervals."""

    requests: int = 0
    refused: int = 0
    settled_requests: int = 0
    settled_refused: int = 0
    worst_gap: float = 0.0
    worst_settled_gap: float = 0.0
    skipped: int = 0
    recovery: float = float("inf")
    refused_at: list[float] = field(default_factory=list)

    @property
    def settled_share(self) -> float:
        """Return the share of 429 responses once the rate has settled."""
        return self.settled_refused / max(1, self.settled_requests)


class Fleet:
    """Runs one scenario; like in the scheduler, each server has one slot in each interval.

    Must be created in a running event loop.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._random = random.Random(scenario.seed)  # noqa: S311 - not a secret
        self._quota: QuotaSpec | None = scenario.quota(scenario.demand / 2)
        self._throttle = Throttle(
            requests_per_second=scenario.ceiling_over_demand * scenario.demand,
            burst=scenario.burst,
            clock=LoopClock(),
        )
        self._verdict_at = [0.0] * scenario.servers
        self.figures = Figures()

    async def run(self) -> Figures:
        """Run until 320 seconds after the end of the quota."""
        end = self._scenario.returns_at + 320
        tasks = [asyncio.create_task(self._server(i, end)) for i in range(self._scenario.servers)]
        if self._scenario.others:
            tasks.append(asyncio.create_task(self._others(end)))
        await asyncio.sleep(self._scenario.returns_at)
        self._quota = None
        while asyncio.get_running_loop().time() < end:
            if self._throttle.limit >= self._throttle.ceiling:
                self.figures.recovery = (
                    asyncio.get_running_loop().time() - self._scenario.returns_at
                )
                break
            await asyncio.sleep(1)
        await asyncio.gather(*tasks)
        return self.figures

    async def _server(self, index: int, end: float) -> None:
        loop = asyncio.get_running_loop()
        interval = self._scenario.interval
        slot = self._random.uniform(0, interval)
        since: float | None = None
        self._verdict_at[index] = slot - interval
        while slot < end:
            await asyncio.sleep(slot - loop.time())
            since = slot if since is None else since
            permit = await self._throttle.permit(since)
            self.figures.skipped += int((loop.time() - slot) // interval)
            if await self._send(permit):
                since = None
                self._verdict(index)
            slot += interval * (1 + (loop.time() - slot) // interval)

    async def _send(self, permit: Permit) -> bool:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._random.uniform(*self._scenario.round_trip) / 2)
        now = loop.time()
        admitted = self._quota is None or self._quota.admits(now)
        response = None if self._quota is None or admitted else self._rejection(self._quota, now)
        await asyncio.sleep(self._random.uniform(*self._scenario.round_trip) / 2)
        self._throttle.answered(permit, 200 if admitted else 429, response)
        settled = SETTLING <= now < self._scenario.returns_at
        self.figures.requests += 1
        self.figures.refused += not admitted
        self.figures.settled_requests += settled
        self.figures.settled_refused += settled and not admitted
        if not admitted:
            self.figures.refused_at.append(now)
        return admitted

    def _rejection(self, quota: QuotaSpec, now: float) -> httpx.Response:
        headers: dict[str, str] = {}
        body = b""
        if self._scenario.hint == "retry-after":
            headers["retry-after"] = str(int(quota.opens_in(now)) + 1)
        if self._scenario.hint == "policy":
            text = f"policy user over ratelimit,{quota.policy()}"
            body = f'{{"error_code":"APIGW.0308","error_msg":"{text}"}}'.encode()
        return received(429, httpx.Headers(headers), body, 0.1)

    def _verdict(self, index: int) -> None:
        now = asyncio.get_running_loop().time()
        gap = (now - self._verdict_at[index]) / self._scenario.interval
        self.figures.worst_gap = max(self.figures.worst_gap, gap)
        if self._verdict_at[index] >= SETTLING:
            self.figures.worst_settled_gap = max(self.figures.worst_settled_gap, gap)
        self._verdict_at[index] = now

    async def _others(self, end: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < end:
            rate = self._scenario.others * self._random.choice((0.2, 0.5, 1.0, 2.3))
            until = loop.time() + self._random.uniform(10, 120)
            while loop.time() < until:
                await asyncio.sleep(self._random.expovariate(rate))
                if self._quota is not None:
                    self._quota.admits(loop.time())


def run(scenario: Scenario) -> Figures:
    """Run one scenario in virtual time."""

    async def main() -> Figures:
        return await Fleet(scenario).run()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())
