"""Compare CPU per probe with blackbox_exporter and cloudprober: same endpoint, rate and checks.

All probe at the same time, so that the machine influences them equally: CPU per probe varies from
minute to minute with the sleep states of the processors.

nginx is the endpoint, over TLS. All programs check status and body, export metrics and are scraped
every 15 s. blackbox_exporter opens a connection for each probe and probes on request, so another
process sends requests at the same rate, like Prometheus. cloudprober keeps its connections, as this
exporter does. Only the CPU of the probing processes counts.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.blackbox import blackbox_exporter, request_probes
from benchmarks.cloudprober import cloudprober
from benchmarks.machine import cpu_seconds, noise, say, table
from tests.real.certificates import Certificates
from tests.real.nginx import nginx
from tests.real.programs import exporter

PROJECT_ID = "0123456789abcdef0123456789abcdef"
TOKEN = "t" * 3000
BODY = json.dumps({"url": "https://console.example:443/vnc/a/vnc_auto.html?token=abc"})
INTERVAL = 10
SCRAPE_EVERY = 15.0


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds of a process in a period, and its number of probes."""

    cpu: float
    probes: float

    @property
    def per_probe(self) -> float:
        """Return milliseconds of CPU per probe."""
        return self.cpu / self.probes * 1000


def main() -> None:
    """Run all at the same time and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200, help="probes a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=("ours", "blackbox", "cloudprober"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cpu-"))
    with noise(), endpoint(folder) as (url, authority):
        used = asyncio.run(measured(folder, url, authority, options))
    table(
        ("program", "CPU per probe", "probes"),
        [(name, f"{one.per_probe:.3f} ms", f"{one.probes:,.0f}") for name, one in used.items()],
    )
    for name in used.keys() & {"blackbox", "cloudprober"} if "ours" in used else ():
        say(f"ratio to {name}: {used['ours'].per_probe / used[name].per_probe:.3f}")


async def measured(
    folder: Path, url: str, authority: Path, options: argparse.Namespace
) -> dict[str, Used]:
    """Measure all at once, or only the selected program."""
    programs = {"ours": ours, "blackbox": blackbox, "cloudprober": kept}
    names = [options.only] if options.only else list(programs)
    used = await asyncio.gather(
        *[programs[name](folder, url, authority, options) for name in names]
    )
    return dict(zip(names, used, strict=True))


@contextlib.contextmanager
def endpoint(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run nginx as the cloud's API; yield its URL and the CA of its certificate."""
    certificates = Certificates()
    pem = certificates.write_good(folder)
    authority = certificates.write_authority(folder / "ca.pem")
    locations = (
        "keepalive_requests 1000000; client_header_buffer_size 16k;\n"
        "location /v1/ { types { } default_type application/json; "
        f"add_header X-Request-Id $request_id; return 200 '{BODY}'; }}\n"
    )
    with nginx(folder, pem, locations) as server:
        yield server.url, authority


async def ours(folder: Path, url: str, authority: Path, options: argparse.Namespace) -> Used:
    """Measure this exporter."""
    config = written_config(folder, url, authority, options.rate * INTERVAL, INTERVAL)
    with exporter(config) as running:
        scrape = f"http://{running.url}/metrics"
        async with scraped(scrape):
            await asyncio.sleep(2 * INTERVAL)
            before = cpu_seconds(running.process.pid), await probes_seen(scrape)
            await asyncio.sleep(options.seconds)
            after = cpu_seconds(running.process.pid), await probes_seen(scrape)
    return Used(after[0] - before[0], after[1] - before[1])


async def blackbox(folder: Path, url: str, authority: Path, options: argparse.Namespace) -> Used:
    """Measure blackbox_exporter."""
    target = f"{url}/v1/{PROJECT_ID}/physicalservers/id-1/remote-console-address"
    probes = 0

    def count(_number: int, _metrics: str) -> None:
        nonlocal probes
        probes += 1

    with blackbox_exporter(folder, authority, TOKEN) as running:
        async with scraped(f"{running.url}/metrics"):
            done = asyncio.Event()
            requesting = asyncio.create_task(
                request_probes(running.url, options.rate, lambda _: target, count, done)
            )
            await asyncio.sleep(2 * INTERVAL)
            before = cpu_seconds(running.process.pid), probes
            await asyncio.sleep(options.seconds)
            after = cpu_seconds(running.process.pid), probes
            done.set()
            await requesting
    return Used(after[0] - before[0], after[1] - before[1])


async def kept(folder: Path, url: str, authority: Path, options: argparse.Namespace) -> Used:
    """Measure cloudprober."""
    urls = [
        f"{url}/v1/{PROJECT_ID}/physicalservers/id-{number}/remote-console-address"
        for number in range(options.rate * INTERVAL)
    ]
    with cloudprober(folder, urls, authority, TOKEN, INTERVAL) as running:
        scrape = f"{running.url}/metrics"
        async with scraped(scrape):
            await asyncio.sleep(2 * INTERVAL)
            before = cpu_seconds(running.process.pid), await cloudprober_probes(scrape)
            await asyncio.sleep(options.seconds)
            after = cpu_seconds(running.process.pid), await cloudprober_probes(scrape)
    return Used(after[0] - before[0], after[1] - before[1])


def written_config(folder: Path, url: str, authority: Path, servers: int, interval: float) -> Path:
    """Write a configuration with servers ``id-0`` and so on, probed every ``interval`` seconds."""
    config = folder / "config.yaml"
    entries = "".join(f"      - {{id: id-{number}}}\n" for number in range(servers))
    config.write_text(
        f"""
global: {{interval: {interval:g}s, timeout: 5s}}
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: {PROJECT_ID}
    endpoint: {url}
    auth: {{type: token, token: {TOKEN}}}
    rate_limit: {{requests_per_second: 1000, burst: 1000}}
    tls: {{ca_file: {authority}}}
    servers:
{entries}"""
    )
    return config


@contextlib.asynccontextmanager
async def scraped(url: str) -> AsyncIterator[None]:
    """Scrape a URL every 15 s while the block runs, like Prometheus."""

    async def scrape() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            while True:
                await scrape_compressed(client, url)
                await asyncio.sleep(SCRAPE_EVERY)

    task = asyncio.create_task(scrape())
    try:
        yield
    finally:
        task.cancel()


async def scrape_compressed(client: httpx.AsyncClient, url: str) -> bytes:
    """Scrape a URL; return the response as gzip, without the cost of decompressing it."""
    async with client.stream("GET", url, headers={"accept-encoding": "gzip"}) as response:
        return b"".join([chunk async for chunk in response.aiter_raw()])


async def probes_seen(url: str) -> float:
    """Return how many probes have succeeded."""
    async with httpx.AsyncClient(timeout=60) as client:
        response = await client.get(url, params={"name[]": "console_probes_total"})
    total = 0.0
    for line in response.text.splitlines():
        if line.startswith("console_probes_total"):
            value = float(line.rpartition(" ")[2])
            if value and 'outcome="success"' not in line:
                raise SystemExit(f"probes failed: {line}")
            total += value
    return total


async def cloudprober_probes(url: str) -> float:
    """Return how many of cloudprober's probes have succeeded."""
    async with httpx.AsyncClient(timeout=60) as client:
        text = (await client.get(url)).text
    lines = [line.split() for line in text.splitlines()]
    succeeded = sum(float(line[1]) for line in lines if line and line[0].startswith("success{"))
    started = sum(float(line[1]) for line in lines if line and line[0].startswith("total{"))
    # Those that are running are not among the successes yet.
    if started - succeeded > started * 0.01:
        raise SystemExit(f"probes failed: {started - succeeded:.0f} of {started:.0f}")
    return succeeded


if __name__ == "__main__":
    main()
