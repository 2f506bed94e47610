"""CPU a probe, whole process: ours beside blackbox_exporter, same endpoint, same rate, same checks.

nginx answers over TLS as the cloud does. Both programs check status and body, keep metrics and are
scraped every 15 s. blackbox_exporter probes when it is asked, so a third process asks it at the
same rate, as a Prometheus would; only the exporters' own processes are counted.
"""

import argparse
import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.real.certificates import Certificates
from tests.real.nginx import nginx
from tests.real.programs import exporter, free_port, program, required

PROJECT_ID = "0123456789abcdef0123456789abcdef"
TOKEN = "t" * 3000
BODY = json.dumps({"url": "https://console.example:443/vnc/a/vnc_auto.html?token=abc"})
INTERVAL = 10
SCRAPE_EVERY = 15.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds of a process over a time, and the probes it made meanwhile."""

    cpu: float
    probes: float

    @property
    def per_probe(self) -> float:
        """Return milliseconds of CPU a probe."""
        return self.cpu / self.probes * 1000


def main() -> None:
    """Run both, one after the other, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200, help="probes a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=("ours", "blackbox"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cpu-"))
    with endpoint(folder) as (url, authority):
        used = {}
        if options.only != "blackbox":
            used["ours"] = asyncio.run(ours(folder, url, authority, options))
        if options.only != "ours":
            used["blackbox"] = asyncio.run(blackbox(folder, url, authority, options))
    for name, one in used.items():
        print(f"{name:10} {one.per_probe:.3f} ms CPU a probe, {one.probes:.0f} probes")
    if len(used) > 1:
        print(f"ratio      {used['ours'].per_probe / used['blackbox'].per_probe:.3f}")


@contextlib.contextmanager
def endpoint(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run nginx in the cloud's place; yield its address and the authority of its certificate."""
    certificates = Certificates()
    pem = certificates.write_good(folder)
    authority = certificates.write_authority(folder / "ca.pem")
    answers = (
        "keepalive_requests 1000000; client_header_buffer_size 16k;\n"
        "location /v1/ { types { } default_type application/json; "
        f"add_header X-Request-Id $request_id; return 200 '{BODY}'; }}\n"
    )
    with nginx(folder, pem, answers) as server:
        yield server.url, authority


async def ours(folder: Path, url: str, authority: Path, options: argparse.Namespace) -> Used:
    """Measure this exporter."""
    servers = "".join(f"      - {{id: id-{number}}}\n" for number in range(options.rate * INTERVAL))
    config = folder / "config.yaml"
    config.write_text(
        f"""
global: {{interval: {INTERVAL}s, timeout: 5s}}
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: {PROJECT_ID}
    endpoint: {url}
    auth: {{type: token, token: {TOKEN}}}
    rate_limit: {{requests_per_second: 1000, burst: 1000}}
    tls: {{ca_file: {authority}}}
    servers:
{servers}"""
    )
    with exporter(config) as running:
        scrape = f"http://{running.url}/metrics"
        async with scraped(scrape):
            await asyncio.sleep(2 * INTERVAL)
            before = cpu(running.process.pid), await probes_seen(scrape)
            await asyncio.sleep(options.seconds)
            after = cpu(running.process.pid), await probes_seen(scrape)
    return Used(after[0] - before[0], after[1] - before[1])


async def blackbox(folder: Path, url: str, authority: Path, options: argparse.Namespace) -> Used:
    """Measure blackbox_exporter."""
    (folder / "blackbox.yml").write_text(
        json.dumps(
            {
                "modules": {
                    "console": {
                        "prober": "http",
                        "timeout": "5s",
                        "http": {
                            "valid_status_codes": [200],
                            "headers": {"X-Auth-Token": TOKEN},
                            "fail_if_body_not_matches_regexp": ['"url": "https?://[^"]+"'],
                            "tls_config": {"ca_file": str(authority)},
                        },
                    }
                }
            }
        )
    )
    port = free_port()
    with program(
        [
            required("prometheus-blackbox-exporter"),
            f"--config.file={folder / 'blackbox.yml'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        r"Listening on|msg=\"?TLS is disabled",
    ) as running:
        base = f"http://127.0.0.1:{port}"
        async with scraped(f"{base}/metrics"):
            ready, done = asyncio.Event(), asyncio.Event()
            asking = asyncio.create_task(ask(base, url, options.rate, ready, done))
            await asyncio.sleep(5)
            before, begun = cpu(running.process.pid), time.monotonic()
            ready.set()
            await asyncio.sleep(options.seconds)
            after, ended = cpu(running.process.pid), time.monotonic()
            done.set()
            rate = await asking
    return Used(after - before, rate * (ended - begun))


async def ask(base: str, url: str, rate: int, ready: asyncio.Event, done: asyncio.Event) -> float:
    """Ask for ``rate`` probes a second until ``done``; return the rate reached since ``ready``."""
    count, failed, since = 0, 0, 0.0
    running: set[asyncio.Task[None]] = set()
    target = f"{url}/v1/{PROJECT_ID}/physicalservers/id-1/remote-console-address"

    async with aiohttp.ClientSession() as session:

        async def one() -> None:
            nonlocal count, failed
            query = {"module": "console", "target": target}
            async with session.get(f"{base}/probe", params=query) as answer:
                failed += "probe_success 1" not in await answer.text()
            count += 1

        due = time.monotonic()
        while not done.is_set():
            task = asyncio.create_task(one())
            running.add(task)
            task.add_done_callback(running.discard)
            if ready.is_set() and not since:
                since, count = time.monotonic(), 0
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        reached = count / (time.monotonic() - since)
        await asyncio.gather(*running)
    if failed:
        raise SystemExit(f"{failed} probes of blackbox_exporter failed")
    return reached


@contextlib.asynccontextmanager
async def scraped(url: str) -> AsyncIterator[None]:
    """Scrape an address every 15 s meanwhile, as Prometheus does."""

    async def scrape() -> None:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            while True:
                async with session.get(url, headers={"accept-encoding": "gzip"}) as answer:
                    await answer.read()
                await asyncio.sleep(SCRAPE_EVERY)

    task = asyncio.create_task(scrape())
    try:
        yield
    finally:
        task.cancel()


async def probes_seen(url: str) -> float:
    """Return how many probes succeeded so far."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, params={"name[]": "console_probes_total"}) as answer,
    ):
        text = await answer.text()
    total = 0.0
    for line in text.splitlines():
        if line.startswith("console_probes_total"):
            value = float(line.rpartition(" ")[2])
            if value and 'outcome="success"' not in line:
                raise SystemExit(f"probes failed: {line}")
            total += value
    return total


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    main()
