"""Two hundred wrong passwords a second: probes do not feel it, and the right ones still pass."""

import asyncio
import itertools
import re
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.real.access import LOGIN, USER, bcrypt_hash
from tests.real.programs import exporter, simulator
from tests.real.simulated_project import listed_servers, write_config

pytestmark = pytest.mark.alone

QUIET_SECONDS, FLOOD_SECONDS = 4.0, 10.0
PASSWORDS_A_SECOND = 200
# What else the machine does is felt in one of them, the flood would be in each.
RUNS = 3
# A cloud that answers after 40 ms, each time, so that what is added shows.
STEADY = """
seed: 1
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: 0123456789abcdef0123456789abcdef
    users: [{name: monitor, password: simulated-password, domain: my-account}]
    latency: {median: 40ms, sigma: 0, cap: 2s}
    servers:
"""


@dataclass
class Watched:
    """What probes took, how scrapes went, and what the flood was answered."""

    quiet: list[float] = field(default_factory=list)
    flooded: list[float] = field(default_factory=list)
    scrapes: list[tuple[int, float]] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    retry_after: set[str | None] = field(default_factory=set)
    newcomers: list[tuple[int, float]] = field(default_factory=list)
    lag: float = 0.0


def client(address: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(local_addr=(address, 0), limit=100),
        timeout=aiohttp.ClientTimeout(30),
    )


def sent(login: tuple[str, str]) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(*login)}


async def watch(url: str, durations: list[float], seen: Watched, until: float) -> None:
    async with client("127.0.0.9") as session:
        while time.monotonic() < until:
            began = time.monotonic()
            async with session.get(f"{url}/metrics", headers=sent(LOGIN)) as answer:
                text = await answer.text()
            seen.scrapes.append((answer.status, time.monotonic() - began))
            durations += values(text, r"console_probe_duration_seconds\{.*\}")
            # Absent until it was measured once.
            seen.lag = max([seen.lag, *values(text, "console_exporter_event_loop_lag_seconds")])
            await asyncio.sleep(0.25)


def values(text: str, series: str) -> list[float]:
    return [float(one) for one in re.findall(rf"^{series} (\S+)", text, re.MULTILINE)]


async def flood(url: str, address: str, name: str, seen: Watched, until: float) -> None:
    """Send half of the passwords from one address; ``name`` with {} is another one each time."""
    running: set[asyncio.Task[None]] = set()

    async def guess(session: aiohttp.ClientSession, number: int) -> None:
        login = (name.format(number), f"guess-{number}")
        async with session.get(f"{url}/metrics", headers=sent(login)) as answer:
            seen.answers[answer.status] += 1
            if answer.status == 429:
                seen.retry_after.add(answer.headers.get("retry-after"))

    async with client(address) as session:
        began = time.monotonic()
        for number in itertools.count():
            due = began + number * 2 / PASSWORDS_A_SECOND
            if due > until:
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(guess(session, number))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)


async def newcomer(url: str, address: str, login: tuple[str, str], seen: Watched) -> None:
    """Log in for the first time in the middle of the flood."""
    await asyncio.sleep(FLOOD_SECONDS / 2)
    async with client(address) as session:
        began = time.monotonic()
        async with session.get(f"{url}/metrics", headers=sent(login)) as answer:
            seen.newcomers.append((answer.status, time.monotonic() - began))


async def act(url: str) -> Watched:
    seen = Watched()
    await watch(url, [], seen, time.monotonic() + 2)
    await watch(url, seen.quiet, seen, time.monotonic() + QUIET_SECONDS)
    until = time.monotonic() + FLOOD_SECONDS
    await asyncio.gather(
        watch(url, seen.flooded, seen, until),
        flood(url, "127.0.0.1", USER, seen, until),
        flood(url, "127.0.0.3", "name-{}", seen, until),
        newcomer(url, "127.0.0.2", (USER, "wrong"), seen),
        newcomer(url, "127.0.0.4", ("first-timer", "third"), seen),
        newcomer(url, "127.0.0.1", ("same-address", "fourth"), seen),
    )
    return seen


async def flooded(tmp_path: Path) -> tuple[Watched, int]:
    """Flood an exporter; return what was seen, and how often it told of refusals."""
    scenario = tmp_path / "steady.yaml"
    scenario.write_text(
        STEADY + "".join(f"      - {{id: id-{n}, name: n-{n}}}\n" for n in range(40))
    )
    users = {USER: LOGIN[1], "first-timer": "third", "same-address": "fourth"}
    web_config = tmp_path / "web.yml"
    web_config.write_text(
        "basic_auth_users:\n"
        + "".join(f"  {name}: {bcrypt_hash(password)}\n" for name, password in users.items())
    )
    with simulator(f"--scenario={scenario}") as cloud:
        servers = listed_servers(cloud.url)
        config = write_config(
            tmp_path / "config.yaml", cloud.url, servers, interval="1s", timeout="900ms"
        )
        with exporter(config, None, f"--web.config.file={web_config}") as ours:
            seen = await act(f"http://{ours.url}")
            told = ours.output.count("logins rejected")
    print(figures(seen))  # noqa: T201 - shown when it fails, and with -s
    return seen, told


async def test_probes_do_not_feel_a_flood_of_wrong_passwords(tmp_path: Path) -> None:
    for _ in range(RUNS):
        seen, told = await flooded(tmp_path)
        if not is_felt(seen):
            break
    assert not is_felt(seen)
    # Who had logged in before passes, and quickly.
    assert {status for status, _ in seen.scrapes} == {200}
    # Wrong ones are refused, most of them without the work of a check.
    assert set(seen.answers) == {401, 429}
    assert seen.answers[429] > seen.answers[401]
    assert seen.retry_after == {"2"}
    assert sum(seen.answers.values()) > 0.8 * PASSWORDS_A_SECOND * FLOOD_SECONDS
    # First log-ins come through: from another address, and with another name from the same one.
    assert sorted(status for status, _ in seen.newcomers) == [200, 200, 401]
    assert told <= 3


def is_felt(seen: Watched) -> bool:
    """Return whether probes took longer for it, or first log-ins took long."""
    added = [at(seen.flooded, quantile) - at(seen.quiet, quantile) for quantile in (50, 95)]
    return max(added) >= 0.020 or max(waited for _, waited in seen.newcomers) >= 3


def at(durations: list[float], quantile: int) -> float:
    """Return a quantile, in percent."""
    return statistics.quantiles(durations, n=100)[quantile - 1]


def figures(seen: Watched) -> str:
    """Return everything measured, in milliseconds where it is time."""
    lines = [
        f"probes {kind}: {', '.join(f'p{q} {at(durations, q) * 1000:.1f}' for q in (50, 95, 99))}"
        f" ms of {len(durations)}"
        for kind, durations in (("quiet", seen.quiet), ("flooded", seen.flooded))
    ]
    waited = [round(seconds * 1000) for _, seconds in seen.newcomers]
    slowest = max(seconds for _, seconds in seen.scrapes) * 1000
    return "\n".join(
        [
            *lines,
            f"event loop lag {seen.lag * 1000:.1f} ms, slowest scrape {slowest:.0f} ms",
            f"answers {dict(seen.answers)}, first log-ins after {waited} ms",
        ]
    )
