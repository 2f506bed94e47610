"""A scrape of a large fleet: ours, prometheus-client's and a Go program's, of the same series.

All three answer curl over HTTP, plain and gzip:
- ours is the program's web application on uvicorn and uvloop, over a state that holds a result of
  every server;
- prometheus-client's is its own `start_http_server`, over its own gauges and counters;
- the Go program is Prometheus' Pushgateway, which was pushed the text.

Each runs in a process of its own, is asked in turns with the others, and is checked to tell the
same names, labels and values. CPU is that of the serving process, threads and all. How long a
scrape of ours holds the event loop is seen by a ticker in that loop, which sleeps 1 ms at a time;
the ticker runs in a second process, for it would count as CPU in the first.
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
CLIENT_LIBRARY_TIMES, GO_TIMES, HELD_MS = 20, 2, 10

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Rival:
    """One who answers, and what each scrape of it took."""

    name: str
    process: Program
    url: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """Return what it tells."""
        answer = httpx.get(self.url, timeout=120)
        answer.raise_for_status()
        return answer.text

    def ask(self, encoding: str) -> None:
        """Scrape it once, as Prometheus would, and note what that took."""
        before = cpu_seconds(self.process.process.pid)
        told = subprocess.run(
            [
                *("curl", "-sf", "-H", f"Accept-Encoding: {encoding}", "-o", "/dev/null"),
                *("-w", "%{time_total} %{size_download}", self.url),
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.split()
        # A thread may have something to tidy up.
        time.sleep(0.05)
        used = cpu_seconds(self.process.process.pid) - before
        self.seconds.setdefault(encoding, []).append(float(told[0]))
        self.cpu.setdefault(encoding, []).append(used)
        self.size[encoding] = int(told[1])


def main() -> None:
    """Fill all three, check that they tell the same, scrape them in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=15, help="scrapes of each, in each encoding")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scrape-") as name, noise():
        folder = Path(name)
        with ours(options.servers) as one:
            told = only_ours(one.text())
            (folder / "series.txt").write_text(told)
            with client_library(folder / "series.txt") as two, pushgateway(told) as three:
                rivals = (one, two, three)
                check_equal(rivals)
                for number in range(options.runs):
                    for encoding in ENCODINGS:
                        for rival in rivals:
                            rival.ask(encoding)
                    say(f"scrapes {number + 1}/{options.runs}")
        held = {encoding: longest_held(options, encoding) for encoding in ENCODINGS}
    report(rivals, held)


def only_ours(text: str) -> str:
    """Return the families that all three can tell; Go and Python have ``process_*`` of their own.

    A histogram has no setter in prometheus-client; of a few hundred such lines the figures say
    nothing.
    """
    kept, keep = list[str](), False
    for line in text.splitlines(keepends=True):
        if line.startswith("# HELP "):
            keep, told = line.startswith("# HELP console_"), line
        elif line.startswith("# TYPE "):
            keep = keep and not line.endswith(" histogram\n")
            kept += [told, line] if keep else []
        elif keep:
            kept.append(line)
    return "".join(kept)


def series(text: str) -> Series:
    """Return what a text tells of us, without what Pushgateway adds."""
    return {
        (sample.name, frozenset(pair for pair in sample.labels.items() if pair[0] not in PUSHED)): (
            sample.value
        )
        for family in text_string_to_metric_families(only_ours(text))
        for sample in family.samples
    }


def check_equal(rivals: tuple[Rival, ...]) -> None:
    """Exit where one tells another name, label or value than the first."""
    first, *others = ((rival.name, series(rival.text())) for rival in rivals)
    for name, told in others:
        if told.keys() != first[1].keys():
            some = sorted(map(str, told.keys() ^ first[1].keys()))[:5]
            raise SystemExit(f"{name} does not tell the same series: {some}")
        unequal = [key for key in told if told[key] != first[1][key]]
        if unequal:
            raise SystemExit(f"{name} does not tell the same values: {unequal[:5]}")
    say(f"all three tell the same {len(first[1]):,} series")


def report(rivals: tuple[Rival, ...], held: dict[str, tuple[float, float, float]]) -> None:
    """Print times, the ratios and how long the loop was held."""
    rows = []
    for encoding in ENCODINGS:
        one = rivals[0]
        for rival in rivals:
            wall, cpu = rival.seconds[encoding], rival.cpu[encoding]
            ratio = statistics.median(wall) / statistics.median(one.seconds[encoding])
            ratio_of_cpu = statistics.mean(cpu) / statistics.mean(one.cpu[encoding])
            rows.append(
                (
                    rival.name,
                    encoding,
                    f"{statistics.median(wall) * 1000:.0f} ms",
                    f"{statistics.mean(cpu) * 1000:.0f} ms",
                    f"{rival.size[encoding] / 1e6:.2f} MB",
                    f"{ratio:.1f}",
                    f"{ratio_of_cpu:.1f}",
                )
            )
    table(("who", "encoding", "median", "CPU", "size", "times ours", "times our CPU"), rows)
    table(
        ("event loop held by a scrape of ours", "longest", "median of the scrapes", "CPU, longest"),
        [
            (encoding, *(f"{figure * 1000:.1f} ms" for figure in held[encoding]))
            for encoding in ENCODINGS
        ],
    )
    say(
        f"\nGoals: prometheus-client takes at least {CLIENT_LIBRARY_TIMES} times as long,"
        f" Pushgateway {GO_TIMES} times; the loop is held {HELD_MS} ms at most."
    )


def longest_held(options: argparse.Namespace, encoding: str) -> tuple[float, float, float]:
    """Return by how much ticks came late during scrapes: the worst, the median of each one's worst.

    The third is the most CPU that the loop's thread used between two ticks: what is left of a
    stall when no other program takes the processor.
    """
    with ours(options.servers, "--watch") as watched:
        worst, most = [], []
        # The first answer in pieces imports what all others share.
        watched.ask(encoding)
        for _ in range(options.runs):
            watch = f"{watched.url.removesuffix('/metrics')}/watch"
            httpx.get(watch)
            watched.ask(encoding)
            late, used = httpx.get(watch).json()
            worst.append(late)
            most.append(used)
    return max(worst), statistics.median(worst), max(most)


@contextlib.contextmanager
def ours(servers: int, *flags: str) -> Iterator[Rival]:
    """Run our web application over a full state."""
    command = [sys.executable, "-m", "benchmarks.scrape_ours", f"--servers={servers}", *flags]
    with program(command, r"listening on (\S+)") as running:
        yield Rival("this exporter", running, running.url)


@contextlib.contextmanager
def client_library(path: Path) -> Iterator[Rival]:
    """Run prometheus-client's web server over the series of a text."""
    command = [sys.executable, "-m", "benchmarks.scrape_client_library", str(path)]
    with program(command, r"listening on (\S+)") as running:
        yield Rival("prometheus-client", running, running.url)


@contextlib.contextmanager
def pushgateway(text: str) -> Iterator[Rival]:
    """Run Pushgateway and push it a text."""
    address = f"127.0.0.1:{free_port()}"
    command = [required("prometheus-pushgateway"), f"--web.listen-address={address}"]
    with program(command, r"listen_address|Listening on") as running:
        answer = httpx.put(
            f"http://{address}/metrics/job/scrape",
            content=gzip.compress(text.encode(), 1),
            headers={"content-encoding": "gzip"},
            timeout=120,
        )
        if answer.is_error:
            raise SystemExit(f"Pushgateway refuses: {answer.text}")
        yield Rival("Pushgateway (Go)", running, f"http://{address}/metrics")


if __name__ == "__main__":
    main()
