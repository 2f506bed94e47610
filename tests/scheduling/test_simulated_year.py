"""Simulate a year of operation: no lost slot, no drift, no extra login, no growth."""

import asyncio
import gc
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.app.exporter import Exporter
from exporter.config.load import load
from exporter.metrics.negotiation import Format
from exporter.model import TargetKey
from exporter.outcome import Outcome
from exporter.scheduling.phase_table import PhaseTable, phase_of
from tests.http.responses import received

DAY = 86_400.0
HOUR = 3600.0
# A Sunday in Berlin on which clocks go forward: 2027-03-28.
SPRING = 1_806_105_600.0
CONFIG = """
global: {interval: 1h, timeout: 10s}
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: "0123"
    auth: {type: password, username: monitor, password: hunter2, domain: d}
    rate_limit: {requests_per_second: 1, burst: 2}
    servers: [{id: a}, {id: b}, {id: c}]
"""


@pytest.mark.parametrize("interval", [60.0, 61.7, 3600.0])
def test_in_a_year_every_slot_is_served_once_at_the_exact_average_interval(
    interval: float,
) -> None:
    # Over a leap day: 2028-02-29.
    start = 1_830_000_000.0
    end = start + 366 * DAY
    key = TargetKey("southwest", "db-01")
    phase_table = PhaseTable(interval, start)
    phase_table.add(key, start)
    slots = []
    now = start
    while (now := phase_table.next_after(now) or end) < end:
        slots += [due.at for due in phase_table.take(now) if not due.missed]
    assert len(slots) == pytest.approx(366 * DAY / interval, abs=1)
    assert (slots[-1] - slots[0]) / (len(slots) - 1) == pytest.approx(interval, rel=1e-12)
    assert max(abs(after - before - interval) for before, after in pairwise(slots)) < 1e-6
    assert (slots[-1] - phase_of(key, interval) + 1) % interval == pytest.approx(1, abs=1e-5)


@pytest.fixture(params=["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set the time zone; daylight saving starts or ends within the simulated weeks."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@dataclass
class FakeCloud(httpx.AsyncBaseTransport):
    """A fake of IAM and CloudDC that uses the fake clock.

    Tokens are valid for a day. ``exhausted`` returns whether the quota is used up at a time (Unix
    seconds). The fake clock is ``ahead`` seconds ahead of the cloud's clock.
    """

    clock: Any
    logins: list[float] = field(default_factory=list)
    responses: Counter[int] = field(default_factory=Counter)
    probes: dict[str, list[float]] = field(default_factory=dict)
    exhausted: Callable[[float], bool] = lambda _now: False
    ahead: float = 0.0
    _ends: dict[str, float] = field(default_factory=dict)

    def __call__(self, **_options: object) -> "FakeCloud":
        """Replace the constructor of the transport."""
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        now = self.clock.time() - self.ahead
        request.extensions["deadline"].spent += 0.05
        status, headers, body = self._response(request, now)
        self.responses[status] += 1
        headers["date"] = formatdate(now, usegmt=True)
        return received(status, httpx.Headers(headers), json.dumps(body).encode(), 0.05)

    async def aclose(self) -> None:
        """Do nothing."""

    def _response(self, request: httpx.Request, now: float) -> tuple[int, dict[str, str], object]:
        if request.method == "POST":
            self.logins.append(now)
            token = f"token-{len(self.logins)}"
            self._ends = {old: end for old, end in self._ends.items() if end > now}
            self._ends[token] = now + DAY
            ends = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(now + DAY))
            return 201, {"x-subject-token": token}, {"token": {"expires_at": ends}}
        if self._ends.get(request.headers["x-auth-token"], 0.0) <= now:
            return 401, {}, {"error_code": "APIGW.0307"}
        if self.exhausted(now):
            return 429, {}, {"error_code": "APIGW.0308"}
        server = request.url.path.split("/")[-2]
        self.probes.setdefault(server, []).append(now)
        return 200, {}, {"url": f"https://c.huaweicloud.com/vnc.html?token={now}"}


@dataclass
class SimulatedLife:
    """An exporter on a fake clock, and a fake cloud."""

    clock: Any
    exporter: Exporter
    cloud: FakeCloud

    async def run_for(self, seconds: float, step: float = HOUR / 3) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            await self.clock.advance(step)
            self.exporter.scheduler.serve_slots(HOUR)
            # Queued targets need time to get their permits.
            await self.clock.advance(5.0)

    def scrape(self) -> str:
        return b"".join(self.exporter.exposition.chunks(Format.TEXT)).decode()

    def objects(self) -> int:
        gc.collect()
        return len(gc.get_objects())

    def sizes(self) -> dict[str, int]:
        """Return the sizes of all containers, and the numbers of series and tasks."""
        scheduler = self.exporter.scheduler
        parts = self.exporter._projects["southwest"]  # noqa: SLF001 - growth shows only in private state
        return {
            "runs": len(scheduler._runs),  # noqa: SLF001
            "phase_tables": len(scheduler._phase_tables),  # noqa: SLF001
            "overdue": len(scheduler._overdue),  # noqa: SLF001
            "waiters": len(parts.throttle._heap),  # noqa: SLF001
            "states": len(self.exporter.state),
            "tasks": len(asyncio.all_tasks()),
            "series": len(self.scrape().splitlines()),
        }


@pytest.fixture
async def life(
    clock: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[SimulatedLife]:
    """Return an exporter whose every request goes to the fake cloud."""
    cloud = FakeCloud(clock)
    monkeypatch.setattr("exporter.app.project.WireTransport", cloud)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    exporter = Exporter(load(path, {}), version="0", clock=clock)
    yield SimulatedLife(clock, exporter, cloud)
    await exporter.stop()


async def test_in_a_year_nothing_drifts_and_nothing_grows(life: SimulatedLife) -> None:
    # For an hour of every day other clients use up the quota.
    life.cloud.exhausted = lambda now: now % DAY < HOUR
    # Histories are full after a little over two days.
    await life.run_for(3 * DAY)
    sizes, objects = life.sizes(), life.objects()
    await life.run_for(362 * DAY)
    assert life.sizes() == sizes
    assert life.objects() < 1.02 * objects
    hours = 365 * 24
    for times in life.cloud.probes.values():
        # One probe of each day is throttled and repeated within an interval.
        assert len(times) == pytest.approx(hours * 23 / 24, abs=3)
        assert all(after - before < 2.6 * HOUR for before, after in pairwise(times))
    throttle = life.exporter.projects()[0]
    assert throttle.limit == throttle.ceiling
    # One token per day, refreshed in its last half hour or at the next use; no expired token is
    # ever sent.
    assert life.cloud.responses[401] == 0
    gaps = [after - before for before, after in pairwise(life.cloud.logins)]
    assert all(DAY - HOUR / 2 - 2 <= gap <= DAY + HOUR for gap in gaps)
    assert life.cloud.responses[429] < 3 * 3 * 365
    for state in life.exporter.state:
        last = state.last_verdict
        assert last is not None
        assert state.success
        assert state.verdicts == len(life.cloud.probes[state.target.key.server_id])
        assert 0 <= life.clock.time() - last.started_at < 1.6 * HOUR


async def test_daylight_saving_time_changes_nothing(life: SimulatedLife, zone: str) -> None:
    life.clock.set_wall_clock(SPRING - DAY - life.clock.time())
    await life.run_for(3 * DAY)
    assert zone
    for name, times in life.cloud.probes.items():
        assert len(times) == pytest.approx(72, abs=1)
        phase = phase_of(TargetKey("southwest", name), HOUR)
        assert all((at - phase) % HOUR < HOUR / 3 + 10 for at in times)
    assert life.cloud.responses[401] == 0
    assert len(life.cloud.logins) == 4


@pytest.mark.parametrize("jump", [-400 * DAY, -DAY, -HOUR, HOUR, DAY, 400 * DAY])
async def test_login_rate_and_timestamps_survive_a_clock_step(
    life: SimulatedLife, jump: float
) -> None:
    await life.run_for(DAY / 2)
    life.cloud.ahead = jump
    life.clock.set_wall_clock(jump)
    before = {name: len(times) for name, times in life.cloud.probes.items()}
    await life.run_for(2 * HOUR)
    for name, times in life.cloud.probes.items():
        # Counted by the cloud's clock, which does not step.
        assert 1 <= len(times) - before[name] <= 3
    assert len(life.cloud.logins) == 1
    now = life.clock.time()
    for state in life.exporter.state:
        assert state.last_verdict is not None
        assert state.last_success_at is not None
        assert 0 <= now - state.last_verdict.started_at < 1.6 * HOUR
        assert 0 <= now - state.last_success_at < 1.6 * HOUR
        assert state.last_verdict.outcome is Outcome.SUCCESS
        assert 0 < state.last_verdict.duration_seconds < 1
    assert life.exporter.scheduler.overdue == 0
    assert life.sizes()["waiters"] == 0
