"""Compare recorded latency with the real delay of the server, also for blackbox_exporter.

A simulated cloud delays each response by 5 to 150 ms, depending on the server, and logs the actual
delay. The benchmark finds each recorded probe in that log. Recorded minus delay is the network and
the error of the client. The programs are measured one after the other, scraped every 5 s.

This exporter reuses connections and blackbox_exporter opens one for each probe. So the figures of
blackbox_exporter are shown in total and without the connect phases. Probes of this exporter that
opened a connection have a separate row.
"""

import argparse
import asyncio
import gzip
import json
import re
import sys
import tempfile
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

import httpx

from benchmarks.blackbox import blackbox_exporter, request_probes
from benchmarks.cpu import PROJECT_ID, TOKEN, scrape_compressed, written_config
from benchmarks.fleet import Probes, take
from benchmarks.machine import noise, say, table
from tests.real.certificates import Certificates
from tests.real.programs import exporter, program

INTERVAL = 10
SCRAPE_EVERY = 5.0
GOAL = "p50 under 1 ms, p99 under 3 ms"
# A request belongs to a probe if it arrives at most this many seconds after the start of the probe.
NEAR = 5.0

RequestLog = dict[str, list[tuple[float, float, bool]]]
"""Requests by server: time of arrival, seconds of delay, first on its connection."""


def main() -> None:
    """Measure both, one after the other, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200, help="probes a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=("ours", "blackbox"))
    options = parser.parse_args()
    rows: dict[str, list[float]] = {}
    with noise():
        if options.only != "blackbox":
            rows |= ours(options)
        if options.only != "ours":
            rows |= blackbox(options)
        table(
            ("recorded minus delay", "p50", "p90", "p99", "worst", "probes"),
            [(name, *spread(beyond)) for name, beyond in rows.items() if len(beyond) > 1],
        )
        say(f"\nGoal, for reused connections: {GOAL}.")


@contextmanager
def holding_cloud(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run the simulated cloud; yield its URL and its CA. It writes its log when it ends."""
    certificates = Certificates()
    pem = certificates.write_good(folder)
    authority = certificates.write_authority(folder / "ca.pem")
    command = [
        *(sys.executable, "-m", "benchmarks.delaying_cloud"),
        *(str(pem.certificate), str(pem.key), str(folder / "log")),
    ]
    with program(command, r"listening on (\S+)") as running:
        yield running.url, authority


def read_log(folder: Path) -> RequestLog:
    """Return the log of the simulated cloud, in the order of arrival."""
    log: RequestLog = defaultdict(list)
    for line in (folder / "log").read_text().splitlines():
        server_id, at, delay, first = json.loads(line)
        log[server_id].append((at, delay, first))
    for requests in log.values():
        requests.sort()
    return log


def ours(options: argparse.Namespace) -> dict[str, list[float]]:
    """Measure this exporter; every server is probed every 10 s, and scrapes are every 5 s."""
    with tempfile.TemporaryDirectory(prefix="latency-") as name:
        folder = Path(name)
        with holding_cloud(folder) as (url, authority):
            config = written_config(folder, url, authority, options.rate * INTERVAL, INTERVAL)
            with exporter(config) as running:
                probes = asyncio.run(watch(f"http://{running.url}/metrics", options.seconds))
        log = read_log(folder)
    reused: list[float] = []
    opened: list[float] = []
    for server_id, seen in probes.items():
        for started, duration in seen.items():
            request = request_of(log[server_id], started)
            if request is not None:
                _arrived, delay, is_first = request
                (opened if is_first else reused).append((duration - delay) * 1000)
    if not reused:
        raise SystemExit("no probe of this exporter reached the simulated cloud")
    return {
        "this exporter, connection reused": reused,
        "this exporter, connection opened": opened,
    }


async def watch(url: str, seconds: float) -> Probes:
    """Scrape every 5 s; return the probes after the first interval."""
    texts: list[bytes] = []
    async with httpx.AsyncClient(timeout=60) as client:
        await asyncio.sleep(INTERVAL)
        begun = time.time()
        while (gone := time.time() - begun) < seconds:
            texts.append(await scrape_compressed(client, url))
            say(f"this exporter: {seconds - gone:.0f} s left")
            await asyncio.sleep(SCRAPE_EVERY)
    probes: Probes = defaultdict(dict)
    # Parse afterwards, so that parsing does not use CPU during the measurement.
    for raw in texts:
        take(gzip.decompress(raw).decode(), probes)
    return {
        server_id: {at: duration for at, duration in seen.items() if at > begun}
        for server_id, seen in probes.items()
    }


def request_of(
    requests: list[tuple[float, float, bool]], started: float
) -> tuple[float, float, bool] | None:
    """Return the first request after a probe's start; None if there is none soon after."""
    # The recorded start is not rounded, and both processes use the same clock.
    index = bisect_left(requests, (started, 0.0, False))
    if index == len(requests) or requests[index][0] - started > NEAR:
        return None
    return requests[index]


def blackbox(options: argparse.Namespace) -> dict[str, list[float]]:
    """Measure blackbox_exporter with the same rate and servers."""
    with tempfile.TemporaryDirectory(prefix="latency-") as name:
        folder = Path(name)
        with (
            holding_cloud(folder) as (url, authority),
            blackbox_exporter(folder, authority, TOKEN) as running,
        ):
            metrics_by_number = asyncio.run(probed(running.url, url, options))
        log = read_log(folder)
    servers = options.rate * INTERVAL
    total, exchanges = [], []
    for number, metrics in metrics_by_number.items():
        # Servers are probed in sequence, so the n-th request of a server is that of its n-th probe.
        nth, server = divmod(number, servers)
        if nth < 1:
            continue
        delay = log[f"id-{server}"][nth][1]
        phases = dict(re.findall(r'probe_http_duration_seconds\{phase="(\w+)"\} (\S+)', metrics))
        (duration,) = re.findall(r"^probe_duration_seconds (\S+)", metrics, re.MULTILINE)
        exchange = float(phases["processing"]) + float(phases["transfer"])
        total.append((float(duration) - delay) * 1000)
        exchanges.append((exchange - delay) * 1000)
    return {
        "blackbox_exporter, processing and transfer only": exchanges,
        "blackbox_exporter, total, with connect and TLS": total,
    }


async def probed(blackbox_url: str, cloud: str, options: argparse.Namespace) -> dict[int, str]:
    """Request probes at the rate; return the metrics of each probe by its number."""
    metrics: dict[int, str] = {}
    servers = options.rate * INTERVAL

    def target(number: int) -> str:
        path = f"/v1/{PROJECT_ID}/physicalservers/id-{number % servers}/remote-console-address"
        return f"{cloud}{path}"

    done = asyncio.Event()
    requesting = asyncio.create_task(
        request_probes(blackbox_url, options.rate, target, metrics.__setitem__, done)
    )
    left = INTERVAL + options.seconds
    async with httpx.AsyncClient(timeout=60) as client:
        while left > 0 and not requesting.done():
            await asyncio.sleep(SCRAPE_EVERY)
            await client.get(f"{blackbox_url}/metrics")
            left -= SCRAPE_EVERY
            say(f"blackbox_exporter: {left:.0f} s left")
    done.set()
    await requesting
    return metrics


def spread(milliseconds: list[float]) -> list[str]:
    """Return quantiles and the count as text."""
    cut = quantiles(milliseconds, n=100, method="inclusive")
    figures = [f"{one:.2f} ms" for one in (cut[49], cut[89], cut[98], max(milliseconds))]
    return [*figures, f"{len(milliseconds):,}"]


if __name__ == "__main__":
    main()
