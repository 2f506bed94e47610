"""Measure a fleet at one-minute intervals, scraped every 15 s: missed slots, intervals, latency.

No probe is missed: each server's last attempt and duration stay in the metrics for a minute and are
read every 15 s. The simulated cloud, a separate process, delays each response by exactly 50 ms.
Anything recorded beyond that is the network, the two event loops and this machine.
"""

import argparse
import contextlib
import gzip
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import mean, quantiles

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.real.programs import exporter, simulator
from tests.real.simulated_project import PROJECT_ID, listed_servers, write_config

INTERVAL = 60.0
SCRAPE_EVERY = 15.0
DELAY = 0.05
SCENARIO = f"""
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: {PROJECT_ID}
    users: [{{name: monitor, password: simulated-password, domain: my-account}}]
    latency: {{median: {DELAY}, sigma: 0}}
"""

Probes = dict[str, dict[float, float]]


def main() -> None:
    """Run it and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    with fleet(options.servers, interval="60s", timeout="10s") as (_, url):
        probes, scrapes, metrics = watch(url, options.minutes * 60)
    print_results(probes, scrapes, metrics)


@contextlib.contextmanager
def fleet(
    servers: int, *, interval: str, timeout: str, rate: float = 1000.0
) -> Iterator[tuple[str, str]]:
    """Run a simulated cloud and an exporter that probes all its servers; yield both addresses."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-"))
    (folder / "scenario.yaml").write_text(SCENARIO)
    with simulator(f"--scenario={folder / 'scenario.yaml'}", f"--servers={servers}") as cloud:
        config = write_config(
            folder / "config.yaml",
            cloud.url,
            listed_servers(cloud.url),
            interval=interval,
            timeout=timeout,
            rate=rate,
        )
        with exporter(config) as ours:
            yield cloud.url, ours.url


def watch(url: str, seconds: float) -> tuple[Probes, list[tuple[float, float]], dict[str, float]]:
    """Scrape for ``seconds``; return all probes, the time of each scrape, and the last totals."""
    scrapes: list[tuple[float, float]] = []
    texts: list[bytes] = []
    end = time.monotonic() + seconds
    with httpx.Client(timeout=30) as client:
        while time.monotonic() < end:
            time.sleep(min(SCRAPE_EVERY, max(0.0, end - time.monotonic())))
            started = time.time()
            with client.stream("GET", f"http://{url}/metrics") as response:
                raw = b"".join(response.iter_raw())
            scrapes.append((started, time.time()))
            texts.append(raw)
            print(f"{end - time.monotonic():5.0f} s left", flush=True)
    # Parse afterwards, so that parsing does not use CPU during the measurement.
    probes: Probes = defaultdict(dict)
    totals: dict[str, float] = {}
    for raw in texts:
        totals = take(gzip.decompress(raw).decode(), probes)
    return probes, scrapes, totals


def take(text: str, probes: Probes) -> dict[str, float]:
    """Add the probes of a scrape to ``probes``; return the samples without a server."""
    attempts: dict[str, float] = {}
    durations: dict[str, float] = {}
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            server_id = sample.labels.get("server_id", "")
            if sample.name == "console_probe_last_attempt_timestamp_seconds":
                attempts[server_id] = sample.value
            elif sample.name == "console_probe_duration_seconds":
                durations[server_id] = sample.value
            elif not server_id:
                label = sample.labels.get("outcome") or sample.labels.get("le") or ""
                totals[sample.name + label] = sample.value
    for server_id, at in attempts.items():
        if server_id in durations:
            probes[server_id][at] = durations[server_id]
    return totals


def print_results(
    probes: Probes, scrapes: list[tuple[float, float]], totals: dict[str, float]
) -> None:
    """Print the results."""
    gaps = [after - before for seen in probes.values() for before, after in pairwise(sorted(seen))]
    beyond = {True: list[float](), False: list[float]()}
    for seen in probes.values():
        for at, duration in seen.items():
            scraped = any(at < end and at + duration > start for start, end in scrapes)
            beyond[scraped].append((duration - DELAY) * 1000)
    rows: list[tuple[str, object]] = [
        ("servers", len(probes)),
        ("probes seen", sum(map(len, probes.values()))),
        ("successes", int(totals["console_probes_totalsuccess"])),
        ("missed slots", int(totals["console_scheduler_missed_probes_total"])),
        ("mean interval", f"{mean(gaps):.4f} s ({abs(mean(gaps) / INTERVAL - 1):.5%} off)"),
        ("worst single gap", f"{max(abs(gap - INTERVAL) for gap in gaps) * 1000:.1f} ms off"),
        ("duration of a scrape", f"{mean(end - start for start, end in scrapes) * 1000:.0f} ms"),
        ("CPU per probe", f"{totals['process_cpu_seconds_total'] / len(gaps) * 1000:.3f} ms"),
        ("memory", f"{totals['process_resident_memory_bytes'] / 1e6:.0f} MB"),
        ("recorded beyond the delay, during a scrape", spread(beyond[True])),
        ("recorded beyond the delay, otherwise", spread(beyond[False])),
    ]
    for name, value in rows:
        print(f"{name:50} {value}")


def spread(milliseconds: list[float]) -> str:
    """Return median, p99 and count as text."""
    if len(milliseconds) < 2:
        return f"{len(milliseconds)} probes"
    cut = quantiles(milliseconds, n=100)
    return f"p50 {cut[49]:.2f} ms, p99 {cut[98]:.2f} ms of {len(milliseconds)} probes"


if __name__ == "__main__":
    main()
