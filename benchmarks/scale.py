"""Measure CPU, memory and lateness of one process at 1,000, 10,000 and 50,000 servers.

Every server is probed once a minute over TLS. nginx is the endpoint, so that the simulated cloud is
no bottleneck, and only the exporter's process counts. It is scraped every 15 s with gzip. After a
warm-up of one interval, ``--seconds`` are measured; then the configuration is reloaded during
continuous requests to ``/-/healthy``. Probes of depth rfb are measured with 1,000 servers of the
simulator.

Lateness comes from the exporter's histogram; its bounds are 5, 10, 25, 50, 100, 250 ms and more, so
quantiles are interpolated between two bounds.
"""

import argparse
import asyncio
import contextlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.cpu import endpoint, scraped, written_config
from benchmarks.fleet import SCENARIO
from benchmarks.machine import cpu_seconds, memory_bytes, noise, say, table
from tests.real.programs import Program, exporter, simulator
from tests.real.simulated_project import listed_servers, write_config

SIZES = (1_000, 10_000, 50_000)
DEEP_SERVERS = 1_000
INTERVAL = 60
# After this the slots of the first interval and the first scrapes are over.
WARM_UP_SECONDS = 65.0
FIRST_PROBE_SECONDS = 70.0
WANTED = (
    "console_probes_total",
    "console_scheduler_lateness_seconds",
    "console_scheduler_missed_probes_total",
)
GOALS = (
    "Goals at 50,000: under one core and 700 MB, lateness p99 under 250 ms, no slot missed,"
    " at most 1.2 times the CPU per probe at 1,000."
)
HEAD = (
    *("servers", "first probe", "core", "CPU per probe", "ratio to first", "memory"),
    *(
        "late p99",
        "within 250 ms",
        "late worst",
        "missed",
        "reload",
        "blocked",
        "memory after reload",
    ),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """Totals of the exporter at one time; ``late`` has counts by bound in seconds."""

    at: float
    cpu: float
    probes: float
    missed: float
    late: dict[float, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """The results for one size, in seconds and bytes."""

    name: str
    first_probe: float
    before: Moment
    after: Moment
    memory: int
    reload: float
    blocked: float
    memory_after_reload: int

    @property
    def per_probe(self) -> float:
        """Return milliseconds of CPU per probe."""
        probes = self.after.probes - self.before.probes
        return (self.after.cpu - self.before.cpu) / probes * 1000

    def row(self, first: "Figures") -> list[str]:
        """Return a row of the table; CPU is compared with ``first``."""
        late = {
            bound: self.after.late[bound] - self.before.late[bound] for bound in self.after.late
        }
        core = (self.after.cpu - self.before.cpu) / (self.after.at - self.before.at)
        return [
            self.name,
            f"{self.first_probe:.1f} s",
            f"{core:.1%}",
            f"{self.per_probe:.3f} ms",
            f"{self.per_probe / first.per_probe:.2f}",
            f"{self.memory / 1e6:.0f} MB",
            f"{quantile(0.99, late) * 1000:.1f} ms",
            f"{late[0.25] / late[float('inf')]:.4%}",
            f"under {quantile(1.0, late):g} s",
            f"{self.after.missed - self.before.missed:.0f}",
            f"{self.reload:.1f} s",
            f"{self.blocked * 1000:.0f} ms",
            f"{self.memory_after_reload / 1e6:.0f} MB",
        ]


def main() -> None:
    """Measure each size, then the probes of depth rfb, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, nargs="*", default=SIZES, help="sizes to measure")
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="for each size, after the warm-up"
    )
    parser.add_argument(
        "--deep", type=int, default=DEEP_SERVERS, metavar="N", help="servers of depth rfb; 0: none"
    )
    options = parser.parse_args()
    fleets = [(shallow, f"{servers:,}", servers) for servers in options.servers]
    if options.deep:
        fleets.append((deep, f"{options.deep:,}, depth rfb", options.deep))
    with noise():
        measured = [measure(*fleet, options.seconds) for fleet in fleets]
    table(HEAD, [one.row(measured[0]) for one in measured])
    say(f"\n{GOALS}")


@contextlib.contextmanager
def shallow(servers: int) -> Iterator[Path]:
    """Run nginx as the cloud's API; yield a configuration of depth api."""
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        with endpoint(folder) as (url, authority):
            yield written_config(folder, url, authority, servers, INTERVAL)


@contextlib.contextmanager
def deep(servers: int) -> Iterator[Path]:
    """Run the simulator with its consoles; yield a configuration of depth rfb."""
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        (folder / "scenario.yaml").write_text(SCENARIO)
        flags = (f"--scenario={folder / 'scenario.yaml'}", f"--servers={servers}")
        with simulator(*flags) as cloud:
            yield write_config(
                folder / "config.yaml",
                cloud.url,
                listed_servers(cloud.url),
                interval=f"{INTERVAL}s",
                timeout="10s",
                depth="rfb",
            )


def measure(
    cloud: Callable[[int], AbstractContextManager[Path]], name: str, servers: int, seconds: float
) -> Figures:
    """Run the exporter with a cloud and measure it."""
    say(f"{name} servers")
    with cloud(servers) as config:
        started = time.monotonic()
        with exporter(config) as running:
            figures = asyncio.run(watch(running, name, started, seconds))
        errors = [line for line in running.lines if "error" in line or "Traceback" in line]
    if errors:
        say("".join(errors[:5]))
    return figures


async def watch(running: Program, name: str, started: float, seconds: float) -> Figures:
    """Wait for the first probe, warm up, measure, and reload the configuration."""
    url, pid = f"http://{running.url}", running.process.pid
    async with httpx.AsyncClient(timeout=300) as client:
        while not (now := await moment(client, url, pid)).probes:
            if now.at - started > FIRST_PROBE_SECONDS:
                raise SystemExit(f"no probe succeeded:\n{running.output[-2000:]}")
            await asyncio.sleep(0.1)
        first_probe = now.at - started
        say(f"  first probe after {first_probe:.1f} s; warming up")
        async with scraped(f"{url}/metrics"):
            await asyncio.sleep(WARM_UP_SECONDS)
            before = await moment(client, url, pid)
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                say(f"  {left:.0f} s left, {memory_bytes(pid) / 1e6:.0f} MB")
                await asyncio.sleep(min(15.0, left))
            after = await moment(client, url, pid)
            memory = memory_bytes(pid)
            reload, blocked = await reloaded(client, url)
        return Figures(name, first_probe, before, after, memory, reload, blocked, memory_bytes(pid))


async def moment(client: httpx.AsyncClient, url: str, pid: int) -> Moment:
    """Scrape the totals of the exporter."""
    text = (await client.get(f"{url}/metrics", params={"name[]": WANTED})).text
    probes = dict[str, float]()
    for outcome, value in re.findall(r'console_probes_total{.*outcome="(\w+)".*} (\S+)', text):
        probes[outcome] = float(value)
    if bad := {name: count for name, count in probes.items() if count and name != "success"}:
        raise SystemExit(f"probes failed: {bad}")
    buckets = re.findall(r'lateness_seconds_bucket{le="([^"]+)"} (\S+)', text)
    (missed,) = re.findall(r"^console_scheduler_missed_probes_total (\S+)", text, re.MULTILINE)
    return Moment(
        time.monotonic(),
        cpu_seconds(pid),
        sum(probes.values()),
        float(missed),
        {float(bound): float(count) for bound, count in buckets},
    )


def quantile(share: float, late: dict[float, float]) -> float:
    """Return a quantile of a cumulative histogram like Prometheus, at most the last bound."""
    wanted = share * late[float("inf")]
    below, counted = 0.0, 0.0
    for bound, count in sorted(late.items()):
        if count >= wanted:
            if bound == float("inf"):
                return below
            inside = (wanted - counted) / (count - counted) if count > counted else 1.0
            return below + (bound - below) * inside
        below, counted = bound, count
    return below


async def reloaded(client: httpx.AsyncClient, url: str) -> tuple[float, float]:
    """Reload the configuration; return its seconds, and the longest response time meanwhile.

    The response time is that of continuous requests to ``/-/healthy``; it shows a blocked loop.
    """
    waits = [0.0]

    async def request_health() -> None:
        while True:
            begun = time.monotonic()
            await client.get(f"{url}/-/healthy")
            waits.append(time.monotonic() - begun)
            await asyncio.sleep(0.002)

    requesting = asyncio.create_task(request_health())
    await asyncio.sleep(0.5)
    started = time.monotonic()
    response = await client.post(f"{url}/-/reload")
    if response.status_code != 200:
        raise SystemExit(response.text)
    took = time.monotonic() - started
    await asyncio.sleep(0.5)
    requesting.cancel()
    return took, max(waits)


if __name__ == "__main__":
    main()
