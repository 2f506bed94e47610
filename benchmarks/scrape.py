"""Compare scrapes of a large fleet with prometheus-client and a Go program, for the same series.

curl scrapes all three over HTTP, plain and gzip:
- this exporter's web application on uvicorn and uvloop, with a result for every server;
- prometheus-client's `start_http_server`, with its own gauges and counters;
- Prometheus' Pushgateway (Go), to which the text was pushed.

Each runs in a separate process and is scraped in turn with the others. The benchmark checks that
names, labels and values are equal. CPU is that of the serving process with all threads. A task that
sleeps 1 ms at a time measures how long a scrape blocks the event loop; it runs in a second process,
so that it adds no CPU to the first.
"""

import argparse
import contextlib
import gzip
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.machine import cpu_seconds, noise, say, table
from tests.real.programs import Program, free_port, program, required

ENCODINGS = ("identity", "gzip")
# What Pushgateway adds to every series.
PUSHED = frozenset({"job", "instance"})
CLIENT_LIBRARY_TIMES, GO_TIMES, BLOCKED_MS = 20, 2, 10

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Contender:
    """A program to scrape, and the figures of each scrape."""

    name: str
    process: Program
    url: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """Return its metrics as text."""
        response = httpx.get(self.url, timeout=120)
        response.raise_for_status()
        return response.text

    def scrape(self, encoding: str) -> None:
        """Scrape it once like Prometheus, and store time, CPU and size."""
        before = cpu_seconds(self.process.process.pid)
        output = subprocess.run(
            [
                *("curl", "-sf", "-H", f"Accept-Encoding: {encoding}", "-o", "/dev/null"),
                *("-w", "%{time_total} %{size_download}", self.url),
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.split()
        # Threads may still be finishing.
        time.sleep(0.05)
        used = cpu_seconds(self.process.process.pid) - before
        self.seconds.setdefault(encoding, []).append(float(output[0]))
        self.cpu.setdefault(encoding, []).append(used)
        self.size[encoding] = int(output[1])


def main() -> None:
    """Fill all three, check that their series are equal, scrape them in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=15, help="scrapes of each, in each encoding")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scrape-") as name, noise():
        folder = Path(name)
        with ours(options.servers) as one:
            text = only_ours(one.text())
            (folder / "series.txt").write_text(text)
            with client_library(folder / "series.txt") as two, pushgateway(text) as three:
                contenders = (one, two, three)
                check_equal(contenders)
                for number in range(options.runs):
                    for encoding in ENCODINGS:
                        for contender in contenders:
                            contender.scrape(encoding)
                    say(f"scrapes {number + 1}/{options.runs}")
        blocked = {encoding: longest_blocked(options, encoding) for encoding in ENCODINGS}
    print_results(contenders, blocked)


def only_ours(text: str) -> str:
    """Return the metric families that all three can serve, without ``process_*``.

    Histograms are left out: prometheus-client cannot set them, and a few hundred lines have no
    influence on the figures.
    """
    kept, keep = list[str](), False
    for line in text.splitlines(keepends=True):
        if line.startswith("# HELP "):
            keep, help_line = line.startswith("# HELP console_"), line
        elif line.startswith("# TYPE "):
            keep = keep and not line.endswith(" histogram\n")
            kept += [help_line, line] if keep else []
        elif keep:
            kept.append(line)
    return "".join(kept)


def series(text: str) -> Series:
    """Return the series of a text, without the labels that Pushgateway adds."""
    return {
        (sample.name, frozenset(pair for pair in sample.labels.items() if pair[0] not in PUSHED)): (
            sample.value
        )
        for family in text_string_to_metric_families(only_ours(text))
        for sample in family.samples
    }


def check_equal(contenders: tuple[Contender, ...]) -> None:
    """Exit if names, labels or values differ from those of the first program."""
    first, *others = ((contender.name, series(contender.text())) for contender in contenders)
    for name, found in others:
        if found.keys() != first[1].keys():
            some = sorted(map(str, found.keys() ^ first[1].keys()))[:5]
            raise SystemExit(f"{name} has different series: {some}")
        unequal = [key for key in found if found[key] != first[1][key]]
        if unequal:
            raise SystemExit(f"{name} has different values: {unequal[:5]}")
    say(f"all three have the same {len(first[1]):,} series")


def print_results(
    contenders: tuple[Contender, ...], blocked: dict[str, tuple[float, float, float]]
) -> None:
    """Print times, ratios, and how long the event loop was blocked."""
    rows = []
    for encoding in ENCODINGS:
        one = contenders[0]
        for contender in contenders:
            wall, cpu = contender.seconds[encoding], contender.cpu[encoding]
            ratio = statistics.median(wall) / statistics.median(one.seconds[encoding])
            ratio_of_cpu = statistics.mean(cpu) / statistics.mean(one.cpu[encoding])
            rows.append(
                (
                    contender.name,
                    encoding,
                    f"{statistics.median(wall) * 1000:.0f} ms",
                    f"{statistics.mean(cpu) * 1000:.0f} ms",
                    f"{contender.size[encoding] / 1e6:.2f} MB",
                    f"{ratio:.1f}",
                    f"{ratio_of_cpu:.1f}",
                )
            )
    table(("program", "encoding", "median", "CPU", "size", "times ours", "times our CPU"), rows)
    table(
        ("event loop blocked by a scrape", "longest", "median of the scrapes", "CPU, longest"),
        [
            (encoding, *(f"{figure * 1000:.1f} ms" for figure in blocked[encoding]))
            for encoding in ENCODINGS
        ],
    )
    say(
        f"\nGoals: prometheus-client takes at least {CLIENT_LIBRARY_TIMES} times as long,"
        f" Pushgateway {GO_TIMES} times; the loop is blocked for at most {BLOCKED_MS} ms."
    )


def longest_blocked(options: argparse.Namespace, encoding: str) -> tuple[float, float, float]:
    """Return the lateness of ticks during scrapes: the maximum, and the median of the maxima.

    The third value is the most CPU seconds that the loop's thread used between two ticks: the delay
    without the influence of other programs.
    """
    with ours(options.servers, "--watch") as watched:
        worst, most = [], []
        # The first response imports modules.
        watched.scrape(encoding)
        for _ in range(options.runs):
            watch = f"{watched.url.removesuffix('/metrics')}/watch"
            httpx.get(watch)
            watched.scrape(encoding)
            late, used = httpx.get(watch).json()
            worst.append(late)
            most.append(used)
    return max(worst), statistics.median(worst), max(most)


@contextlib.contextmanager
def ours(servers: int, *flags: str) -> Iterator[Contender]:
    """Run this exporter's web application with a full state."""
    command = [sys.executable, "-m", "benchmarks.scrape_exporter", f"--servers={servers}", *flags]
    with program(command, r"listening on (\S+)") as running:
        yield Contender("this exporter", running, running.url)


@contextlib.contextmanager
def client_library(path: Path) -> Iterator[Contender]:
    """Run prometheus-client's web server with the series of a text."""
    command = [sys.executable, "-m", "benchmarks.scrape_client_library", str(path)]
    with program(command, r"listening on (\S+)") as running:
        yield Contender("prometheus-client", running, running.url)


@contextlib.contextmanager
def pushgateway(text: str) -> Iterator[Contender]:
    """Run Pushgateway and push a text to it."""
    address = f"127.0.0.1:{free_port()}"
    command = [required("prometheus-pushgateway"), f"--web.listen-address={address}"]
    with program(command, r"listen_address|Listening on") as running:
        response = httpx.put(
            f"http://{address}/metrics/job/scrape",
            content=gzip.compress(text.encode(), 1),
            headers={"content-encoding": "gzip"},
            timeout=120,
        )
        if response.is_error:
            raise SystemExit(f"Pushgateway refused the text: {response.text}")
        yield Contender("Pushgateway (Go)", running, f"http://{address}/metrics")


if __name__ == "__main__":
    main()
