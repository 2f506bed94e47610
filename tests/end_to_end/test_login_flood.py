"""Test that 200 wrong passwords per second delay neither probes nor valid logins."""

import asyncio
import itertools
import re
import statistics
import time
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.real.access import LOGIN, USER, bcrypt_hash
from tests.real.programs import exporter, simulator
from tests.real.simulated_project import listed_servers, write_config

pytestmark = pytest.mark.alone

QUIET_SECONDS, FLOOD_SECONDS = 4.0, 10.0
PASSWORDS_PER_SECOND = 200
# Other load on the machine affects single runs, the flood would affect all.
RUNS = 3
# A cloud with a constant latency of 40 ms, so that added latency shows.
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
class Measurements:
    """Durations of probes, results of scrapes, and responses to the flood."""

    quiet: list[float] = field(default_factory=list)
    flooded: list[float] = field(default_factory=list)
    scrapes: list[tuple[int, float]] = field(default_factory=list)
    responses: Counter[int] = field(default_factory=Counter)
    retry_after: set[str | None] = field(default_factory=set)
    first_logins: list[tuple[int, float]] = field(default_factory=list)
    lag: float = 0.0


def client(address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=address), timeout=30)


async def watch(url: str, durations: list[float], measured: Measurements, until: float) -> None:
    async with client("127.0.0.9") as session:
        while time.monotonic() < until:
            began = time.monotonic()
            response = await session.get(f"{url}/metrics", auth=LOGIN)
            measured.scrapes.append((response.status_code, time.monotonic() - began))
            durations += values(response.text, r"console_probe_duration_seconds\{.*\}")
            # Absent until the first measurement.
            measured.lag = max(
                [measured.lag, *values(response.text, "console_exporter_event_loop_lag_seconds")]
            )
            await asyncio.sleep(0.25)


def values(text: str, series: str) -> list[float]:
    return [float(one) for one in re.findall(rf"^{series} (\S+)", text, re.MULTILINE)]


async def flood(url: str, address: str, name: str, measured: Measurements, until: float) -> None:
    """Send half of the passwords from one address; a ``name`` with {} changes each time."""
    began = time.monotonic()
    # Connections that are not used at the moment. An HTTP client would use so much CPU that it
    # delays what is measured.
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def guess(number: int) -> None:
        connection = idle.pop() if idle else await opened(url, address)
        reader, writer = connection
        login = b64encode(f"{name.format(number)}:guess-{number}".encode())
        head = b"GET /metrics HTTP/1.1\r\nHost: h\r\nAuthorization: Basic %b\r\n\r\n"
        writer.write(head % login)
        response = await received(reader)
        measured.responses[response.status_code] += 1
        if response.status_code == 429:
            measured.retry_after.add(response.headers.get("retry-after"))
        idle.append(connection)

    async with asyncio.TaskGroup() as guesses:
        for number in itertools.count():
            due = began + number * 2 / PASSWORDS_PER_SECOND
            if due > until:
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            guesses.create_task(guess(number))
    for _, writer in idle:
        writer.close()


async def opened(url: str, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection from an address."""
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port, local_addr=(address, 0))


async def received(reader: asyncio.StreamReader) -> httpx.Response:
    """Read a response with a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    response = httpx.Response(
        int(head.split()[1]),
        headers=dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2]),
    )
    await reader.readexactly(int(response.headers["content-length"]))
    return response


async def first_login(
    url: str, address: str, login: tuple[str, str], measured: Measurements
) -> None:
    """Log in for the first time in the middle of the flood."""
    await asyncio.sleep(FLOOD_SECONDS / 2)
    async with client(address) as session:
        began = time.monotonic()
        response = await session.get(f"{url}/metrics", auth=login)
        measured.first_logins.append((response.status_code, time.monotonic() - began))


async def act(url: str) -> Measurements:
    measured = Measurements()
    await watch(url, [], measured, time.monotonic() + 2)
    await watch(url, measured.quiet, measured, time.monotonic() + QUIET_SECONDS)
    until = time.monotonic() + FLOOD_SECONDS
    await asyncio.gather(
        watch(url, measured.flooded, measured, until),
        flood(url, "127.0.0.1", USER, measured, until),
        flood(url, "127.0.0.3", "name-{}", measured, until),
        first_login(url, "127.0.0.2", (USER, "wrong"), measured),
        first_login(url, "127.0.0.4", ("first-timer", "third"), measured),
        first_login(url, "127.0.0.1", ("same-address", "fourth"), measured),
    )
    return measured


async def flooded(tmp_path: Path) -> tuple[Measurements, int]:
    """Flood an exporter; return the measurements and the number of logged rejections."""
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
            measured = await act(f"http://{ours.url}")
            logged = ours.output.count("logins rejected")
    print(figures(measured))  # noqa: T201 - shown when it fails, and with -s
    return measured, logged


async def test_probes_do_not_feel_a_flood_of_wrong_passwords(tmp_path: Path) -> None:
    for _ in range(RUNS):
        measured, logged = await flooded(tmp_path)
        if not is_affected(measured):
            break
    assert not is_affected(measured)
    # Clients that logged in before the flood are accepted.
    assert {status for status, _ in measured.scrapes} == {200}
    # Wrong passwords are rejected, most of them without a bcrypt check.
    assert set(measured.responses) == {401, 429}
    assert measured.responses[429] > measured.responses[401]
    assert measured.retry_after == {"2"}
    assert sum(measured.responses.values()) > 0.8 * PASSWORDS_PER_SECOND * FLOOD_SECONDS
    # First logins succeed from another address, and for another user from the same address.
    assert sorted(status for status, _ in measured.first_logins) == [200, 200, 401]
    assert logged <= 3


def is_affected(measured: Measurements) -> bool:
    """Return whether the flood delayed probes or first logins."""
    added = [at(measured.flooded, quantile) - at(measured.quiet, quantile) for quantile in (50, 95)]
    return max(added) >= 0.020 or max(waited for _, waited in measured.first_logins) >= 3


def at(durations: list[float], quantile: int) -> float:
    """Return a quantile, in percent."""
    return statistics.quantiles(durations, n=100)[quantile - 1]


def figures(measured: Measurements) -> str:
    """Format all measurements, times in milliseconds."""
    lines = [
        f"probes {kind}: {', '.join(f'p{q} {at(durations, q) * 1000:.1f}' for q in (50, 95, 99))}"
        f" ms of {len(durations)}"
        for kind, durations in (("quiet", measured.quiet), ("flooded", measured.flooded))
    ]
    waited = [round(seconds * 1000) for _, seconds in measured.first_logins]
    slowest = max(seconds for _, seconds in measured.scrapes) * 1000
    return "\n".join(
        [
            *lines,
            f"event loop lag {measured.lag * 1000:.1f} ms, slowest scrape {slowest:.0f} ms",
            f"responses {dict(measured.responses)}, first logins after {waited} ms",
        ]
    )
