"""Measure the API with a large fleet: time and size of a response, and blocking of the event loop.

The web server runs in this process, so that its event loop can be measured; curl runs in others.
"Blocked" is the most CPU time of one iteration of the loop, so that other programs do not count.

Run as ``python -m benchmarks.api --servers 10000``; takes some seconds.
"""

import argparse
import asyncio
import gc
import random
import statistics
import time
import uuid
from asyncio.subprocess import PIPE

from exporter.model import ProbeResult, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome
from exporter.state import StateStore
from exporter.web.application import web_application
from tests.real.web_server import serving
from tests.web.fake_exporter import NOW, FakeExporter

RESULTS_EACH = 3
REQUESTS = 7
PATHS = (
    "/api/v1/servers",
    "/api/v1/servers?format=http_sd",
    "/api/v1/servers?state=failing",
    "/api/v1/servers?limit=100",
    "/api/v1/servers/southwest/{server_id}",
)


def fleet(servers: int) -> StateStore:
    """Return the state of a fleet in which one server in ten fails."""
    chance = random.Random(1)  # noqa: S311 - not a secret
    store = StateStore(history_length=50)
    labels = (("rack", "r12"), ("team", "storage"))
    store.reconcile(
        Target(
            TargetKey("southwest", str(uuid.UUID(int=chance.getrandbits(128)))),
            f"srv-{number:05}",
            "cn-southwest-2",
            60.0,
            10.0,
            labels=labels,
        )
        for number in range(servers)
    )
    for known in store:
        for _ in range(RESULTS_EACH):
            store.record(result(known.target, failed=chance.random() < 0.1))
    return store


def result(target: Target, *, failed: bool) -> ProbeResult:
    """Return a typical result of a probe."""
    return ProbeResult(
        target,
        NOW - 5,
        Outcome.TIMEOUT if failed else Outcome.SUCCESS,
        Stage.API if failed else None,
        200,
        request_id="r" * 32,
        stages=(StageTiming(Stage.API, 0.123456, passed=not failed),),
        detail="no response within 10s" if failed else "",
    )


class LoopMonitor:
    """Measures the most CPU seconds between two iterations of the event loop."""

    def __init__(self) -> None:
        self.blocked = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.blocked = max(self.blocked, now - before)
            before = now


async def measured(url: str, encoding: str) -> tuple[float, int, float]:
    """Send several requests; return median seconds, bytes, and the most seconds blocked."""
    form = "%{time_total} %{size_download}\\n"
    curl = f"curl -sf -H 'Accept-Encoding: {encoding}' -o /dev/null -w '{form}' '{url}'"
    # Starting a process blocks the loop, so the requests start a little later.
    script = f"sleep 0.3; for i in $(seq {REQUESTS}); do {curl} || exit 1; done"
    process = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=PIPE)
    await asyncio.sleep(0.2)
    monitor = LoopMonitor()
    monitoring = asyncio.create_task(monitor.run())
    output, _ = await process.communicate()
    monitoring.cancel()
    if process.returncode:
        raise SystemExit(f"curl failed for {url}")
    rows = [line.split() for line in output.decode().splitlines()]
    return statistics.median(float(row[0]) for row in rows), int(rows[0][1]), monitor.blocked


async def measure(servers: int) -> None:
    """Print a line for each path and encoding."""
    state = fleet(servers)
    # Exclude the fleet from garbage collections, which are not part of a response.
    gc.collect()
    gc.freeze()
    server_id = next(iter(state)).target.key.server_id
    async with serving(web_application(FakeExporter(state))) as served:
        url = f"http://127.0.0.1:{served.port}"
        # The first response imports modules.
        await measured(f"{url}/metrics", "identity")
        for path in PATHS:
            for encoding in ("identity", "gzip"):
                took, size, blocked = await measured(
                    url + path.format(server_id=server_id), encoding
                )
                print(
                    f"{path:40} {encoding:9} {took * 1000:6.1f} ms {size / 1e6:7.3f} MB,"
                    f" blocked {blocked * 1000:4.1f} ms",
                    flush=True,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    asyncio.run(measure(parser.parse_args().servers))
