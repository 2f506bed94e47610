"""A fleet of servers asking through a real `Throttle` against a pretend quota, in virtual time.

The event loop's clock jumps to whatever is due next, so an hour of a fleet takes seconds and
every run of a scenario is the same.
"""

import asyncio
import random
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from exporter.http.response import Response
from exporter.ratelimit.throttle import Permit, Throttle

SETTLING = 300.0
"""Seconds after which the pace counts as settled."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: its clock jumps to what is due next."""

    def __init__(self) -> None:
        """Start at time 0."""
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
    """A quota that refills evenly and lets ``burst`` requests through at once."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    filled_at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def admits(self, now: float) -> bool:
        """Return whether a request that arrives at ``now`` is let through."""
        self.tokens = min(self.burst, self.tokens + self.rate * (now - self.filled_at))
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def opens_in(self, now: float) -> float:
        """Return the seconds until a request is let through again."""
        del now
        return max(0.0, (1 - self.tokens) / self.rate)

    def policy(self) -> str:
        """Return the policy as the gateway words it."""
        return f"limit:{round(self.rate * 60)},time:1 minute"


@dataclass
class FixedWindow:
    """A quota of so many requests in each window of ``seconds``, counted from 0."""

    rate: float
    seconds: float
    window: int = -1
    used: int = 0

    @property
    def count(self) -> int:
        """Return the requests that each window lets through."""
        return max(1, round(self.rate * self.seconds))

    def admits(self, now: float) -> bool:
        """Return whether a request that arrives at ``now`` is let through."""
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
        """Return the policy as the gateway words it."""
        return f"limit:{round(self.rate * self.seconds)},time:{round(self.seconds)} second"


QuotaSpec = TokenBucket | FixedWindow


@dataclass(frozen=True)
class Scenario:
    """A fleet, its ceiling, and a quota that holds from 0 to ``returns_at`` seconds.

    ``hint`` is what a 429 says: nothing, ``Retry-After`` or the gateway's policy. ``others`` is
    the mean rate of other users of the quota, who come in gusts.
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
        """Return the probes a second that the fleet asks for."""
        return self.servers / self.interval


@dataclass
class Figures:
    """What became of a scenario; gaps without a verdict are in intervals."""

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
        """Return the share of requests answered 429 once the pace had settled."""
        return self.settled_refused / max(1, self.settled_requests)


class Fleet:
    """Runs one scenario: each server has its slot in each interval, as the scheduler gives it."""

    def __init__(self, scenario: Scenario) -> None:
        """Set up the fleet; must be called in the event loop."""
        self._scenario = scenario
        self._random = random.Random(scenario.seed)  # noqa: S311 - a simulation, no secret
        self._quota: QuotaSpec | None = scenario.quota(scenario.demand / 2)
        self._throttle = Throttle(
            requests_per_second=scenario.ceiling_over_demand * scenario.demand,
            burst=scenario.burst,
            clock=LoopClock(),
        )
        self._verdict_at = [0.0] * scenario.servers
        self.figures = Figures()

    async def run(self) -> Figures:
        """Run until five minutes and a bit after the quota's return."""
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
            if await self._ask(permit):
                since = None
                self._verdict(index)
            slot += interval * (1 + (loop.time() - slot) // interval)

    async def _ask(self, permit: Permit) -> bool:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._random.uniform(*self._scenario.round_trip) / 2)
        now = loop.time()
        admitted = self._quota is None or self._quota.admits(now)
        answer = None if self._quota is None or admitted else self._refusal(self._quota, now)
        await asyncio.sleep(self._random.uniform(*self._scenario.round_trip) / 2)
        self._throttle.answered(permit, 200 if admitted else 429, answer)
        settled = SETTLING <= now < self._scenario.returns_at
        self.figures.requests += 1
        self.figures.refused += not admitted
        self.figures.settled_requests += settled
        self.figures.settled_refused += settled and not admitted
        if not admitted:
            self.figures.refused_at.append(now)
        return admitted

    def _refusal(self, quota: QuotaSpec, now: float) -> Response:
        headers: dict[str, str] = {}
        body = b""
        if self._scenario.hint == "retry-after":
            headers["retry-after"] = str(int(quota.opens_in(now)) + 1)
        if self._scenario.hint == "policy":
            text = f"policy user over ratelimit,{quota.policy()}"
            body = f'{{"error_code":"APIGW.0308","error_msg":"{text}"}}'.encode()
        return Response(429, httpx.Headers(headers), body, 0.1)

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
