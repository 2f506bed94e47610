"""Is a recorded latency true: ours and blackbox_exporter's beside what the server really held.

The pretend cloud holds each answer for 5 to 150 ms, by server, and writes down for how long it was
in the end. Each probe that was recorded is found in that book; recorded minus held is the wire, and
what the client adds. One program after the other is measured, each is scraped every 5 s.

Ours keeps its connections open and blackbox_exporter opens one for each probe, so its figures are
shown whole and also without the phases that ours does not have. Ours that had to open one are a
row of their own.
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

import aiohttp

from benchmarks.blackbox import ask, blackbox_exporter
from benchmarks.cpu import PROJECT_ID, TOKEN, written_config
from benchmarks.fleet import Probes, take
from benchmarks.machine import noise, say, table
from tests.real.certificates import Certificates
from tests.real.programs import exporter, program

INTERVAL = 10
SCRAPE_EVERY = 5.0
GOAL = "p50 under 1 ms, p99 under 3 ms"
# Arrival is a little after the start of a probe, by this much at most where it is the same one.
NEAR = 5.0

Book = dict[str, list[tuple[float, float, bool]]]
"""What was held, by server: time of arrival, seconds, first on its connection."""


def main() -> None:
    """Run both, one after the other, and print the table."""
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
            ("recorded minus held", "p50", "p90", "p99", "worst", "probes"),
            [(name, *spread(beyond)) for name, beyond in rows.items() if len(beyond) > 1],
        )
        say(f"\nGoal, over kept connections: {GOAL}.")


@contextmanager
def holding_cloud(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run the pretend cloud; yield its address and its authority. Its book is there afterwards."""
    certificates = Certificates()
    pem = certificates.write_good(folder)
    authority = certificates.write_authority(folder / "ca.pem")
    command = [
        *(sys.executable, "-m", "benchmarks.holding_cloud"),
        *(str(pem.certificate), str(pem.key), str(folder / "book")),
    ]
    with program(command, r"listening on (\S+)") as running:
        yield running.url, authority


def read_book(folder: Path) -> Book:
    """Return what the pretend cloud wrote down, in the order of arrival."""
    book: Book = defaultdict(list)
    for line in (folder / "book").read_text().splitlines():
        server_id, at, held, first = json.loads(line)
        book[server_id].append((at, held, first))
    for visits in book.values():
        visits.sort()
    return book


def ours(options: argparse.Namespace) -> dict[str, list[float]]:
    """Measure this exporter; every server is probed each 10 s, and read each 5 s."""
    with tempfile.TemporaryDirectory(prefix="latency-") as name:
        folder = Path(name)
        with holding_cloud(folder) as (url, authority):
            config = written_config(folder, url, authority, options.rate * INTERVAL, INTERVAL)
            with exporter(config) as running:
                probes = asyncio.run(watch(f"http://{running.url}/metrics", options.seconds))
        book = read_book(folder)
    kept: list[float] = []
    opened: list[float] = []
    for server_id, seen in probes.items():
        for started, duration in seen.items():
            logged = visit_of(book[server_id], started)
            if logged is not None:
                (opened if logged[2] else kept).append((duration - logged[1]) * 1000)
    if not kept:
        raise SystemExit("no probe of ours reached the pretend cloud")
    return {"ours, connection kept": kept, "ours, connection opened": opened}


async def watch(url: str, seconds: float) -> Probes:
    """Scrape every 5 s; return the probes that were seen after the first interval."""
    texts: list[bytes] = []
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await asyncio.sleep(INTERVAL)
        begun = time.time()
        while (gone := time.time() - begun) < seconds:
            async with session.get(url, headers={"accept-encoding": "gzip"}) as answer:
                texts.append(await answer.read())
            say(f"ours: {seconds - gone:.0f} s left")
            await asyncio.sleep(SCRAPE_EVERY)
    probes: Probes = defaultdict(dict)
    # Read when all is over: parsing would take the processor from what is measured.
    for raw in texts:
        take(gzip.decompress(raw).decode(), probes)
    return {
        server_id: {at: duration for at, duration in seen.items() if at > begun}
        for server_id, seen in probes.items()
    }


def visit_of(
    visits: list[tuple[float, float, bool]], started: float
) -> tuple[float, float, bool] | None:
    """Return the first visit after a probe's start; None when there is none near."""
    # The recorded start has all its digits, and both processes read the same clock.
    place = bisect_left(visits, (started, 0.0, False))
    if place == len(visits) or visits[place][0] - started > NEAR:
        return None
    return visits[place]


def blackbox(options: argparse.Namespace) -> dict[str, list[float]]:
    """Measure blackbox_exporter, asked at the same rate for the same servers."""
    with tempfile.TemporaryDirectory(prefix="latency-") as name:
        folder = Path(name)
        with (
            holding_cloud(folder) as (url, authority),
            blackbox_exporter(folder, authority, TOKEN) as running,
        ):
            told = asyncio.run(probed(running.url, url, options))
        book = read_book(folder)
    servers = options.rate * INTERVAL
    whole, without = [], []
    warm = int(options.rate * INTERVAL)
    for number, metrics in told.items():
        # Servers come in turns, so the n-th visit of one is that of its n-th probe.
        permit, server = divmod(number, servers)
        if number < warm:
            continue
        held = book[f"id-{server}"][permit][1]
        phases = dict(re.findall(r'probe_http_duration_seconds\{phase="(\w+)"\} (\S+)', metrics))
        (duration,) = re.findall(r"^probe_duration_seconds (\S+)", metrics, re.MULTILINE)
        exchange = float(phases["processing"]) + float(phases["transfer"])
        whole.append((float(duration) - held) * 1000)
        without.append((exchange - held) * 1000)
    return {
        "blackbox_exporter, processing and transfer alone": without,
        "blackbox_exporter, whole, with connect and TLS": whole,
    }


async def probed(blackbox_url: str, cloud: str, options: argparse.Namespace) -> dict[int, str]:
    """Have it probe at the rate; return the metrics of each probe by its number."""
    told: dict[int, str] = {}
    servers = options.rate * INTERVAL

    def target(number: int) -> str:
        place = f"/v1/{PROJECT_ID}/physicalservers/id-{number % servers}/remote-console-address"
        return f"{cloud}{place}"

    done = asyncio.Event()
    asking = asyncio.create_task(ask(blackbox_url, options.rate, target, told.__setitem__, done))
    left = INTERVAL + options.seconds
    async with aiohttp.ClientSession() as session:
        while left > 0 and not asking.done():
            await asyncio.sleep(SCRAPE_EVERY)
            async with session.get(f"{blackbox_url}/metrics") as answer:
                await answer.read()
            left -= SCRAPE_EVERY
            say(f"blackbox_exporter: {left:.0f} s left")
    done.set()
    await asking
    return told


def spread(milliseconds: list[float]) -> list[str]:
    """Return quantiles and the count, in words."""
    cut = quantiles(milliseconds, n=100, method="inclusive")
    figures = [f"{one:.2f} ms" for one in (cut[49], cut[89], cut[98], max(milliseconds))]
    return [*figures, f"{len(milliseconds):,}"]


if __name__ == "__main__":
    main()
