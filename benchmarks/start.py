"""Measure startup time: ``--help``, and ``serve`` until it is ready.

Each is started several times, and the median counts. CPU is that of the process until it is ready,
with all threads. ``--imports`` lists the slowest imports.
"""

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import cpu_seconds, noise, say, table
from tests.real.programs import free_port

EXPORTER = (sys.executable, "-m", "exporter")
GIVE_UP_SECONDS = 60.0
LISTED = 25
CONFIG = """
global: {interval: 60s, timeout: 5s}
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: 0123456789abcdef0123456789abcdef
    endpoint: https://127.0.0.1:1
    auth: {type: token, token: none}
    rate_limit: {requests_per_second: 1000, burst: 1000}
    servers:
"""

Figures = tuple[float, float]
"""Elapsed seconds, and CPU seconds."""


def main() -> None:
    """Start each command several times and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--imports", action="store_true", help="list the slowest imports")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="start-") as folder, noise():
        config = Path(folder) / "config.yaml"
        config.write_text(
            CONFIG + "".join(f"      - {{id: id-{n}}}\n" for n in range(options.servers))
        )
        rows = [
            ("`--help`", help_shown),
            (f"`serve` ready, {options.servers:,} servers", lambda: ready(config)),
        ]
        table(
            ("what", "median", "worst", "CPU"),
            [row(name, measure, options.runs) for name, measure in rows],
        )
    if options.imports:
        say(f"\nThe {LISTED} slowest imports of serve: own ms, ms with nested imports")
        say("\n".join(slowest_imports()))


def row(name: str, measure: Callable[[], Figures], runs: int) -> list[str]:
    """Measure once to warm the disk cache, then ``runs`` times."""
    measure()
    figures = []
    for number in range(runs):
        figures.append(measure())
        say(f"{name} {number + 1}/{runs}: {figures[-1][0] * 1000:.0f} ms")
    wall, cpu = zip(*figures, strict=True)
    return [
        name,
        f"{statistics.median(wall) * 1000:.0f} ms",
        f"{max(wall) * 1000:.0f} ms",
        f"{statistics.median(cpu) * 1000:.0f} ms",
    ]


def help_shown() -> Figures:
    """Run ``--help`` until it exits."""
    started = time.perf_counter()
    process = subprocess.Popen([*EXPORTER, "--help"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("--help failed")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime


def ready(config: Path) -> Figures:
    """Run ``serve`` until ``/-/ready`` answers 200; poll every 2 ms."""
    port = free_port()
    command = [*EXPORTER, "serve", f"--config.file={config}", "--log.level=error"]
    started = time.perf_counter()
    process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"])
    try:
        while not is_ready(port):
            if process.poll() is not None or time.perf_counter() - started > GIVE_UP_SECONDS:
                raise SystemExit("serve did not start")
            time.sleep(0.002)
        return time.perf_counter() - started, cpu_seconds(process.pid)
    finally:
        process.kill()
        process.wait()


def is_ready(port: int) -> bool:
    """Return whether ``/-/ready`` answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_SECONDS)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def slowest_imports() -> list[str]:
    """Return the slowest imports as text, in milliseconds."""
    output = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import exporter.app.serve"],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    ).stderr
    rows = [
        (int(own), int(total), name.strip())
        for own, total, name in (
            line.removeprefix("import time:").split("|")
            for line in output.splitlines()
            if line.startswith("import time:") and "self" not in line
        )
    ]
    return [
        f"{own / 1000:6.1f} {total / 1000:6.1f}  {name}"
        for own, total, name in sorted(rows, reverse=True)[:LISTED]
    ]


if __name__ == "__main__":
    main()
