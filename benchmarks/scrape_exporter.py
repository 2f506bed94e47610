"""Serve the web application with a result for every server; used by `scrape`.

Everything is as in ``serve``, but results are generated instead of probed.
"""

import argparse
import asyncio
import os
import random
import time
import uuid
from dataclasses import replace
from pathlib import Path

import uvloop
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.start import CONFIG
from exporter.app.exporter import Exporter
from exporter.app.running_exporter import RunningExporter
from exporter.clock import SystemClock
from exporter.config.load import load
from exporter.model import ProbeResult, Stage, StageTiming, Target
from exporter.outcome import Outcome
from exporter.process import log
from exporter.process.systemd import Notifier
from exporter.web.access.live_config import OPEN, LiveConfig
from exporter.web.application import web_application
from exporter.web.server import WebServer, listen

FAILING = 0.1
TICK = 0.001


class Ticker:
    """Sleeps 1 ms at a time; measures how late it wakes and the CPU that the loop used."""

    def __init__(self) -> None:
        self.late = 0.0
        self.used = 0.0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            before, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            self.late = max(self.late, time.perf_counter() - before - TICK)
            self.used = max(self.used, time.thread_time() - used)

    async def figures(self, _request: Request) -> JSONResponse:
        """Return the maximum lateness and CPU since the last request."""
        seen = [self.late, self.used]
        self.late = self.used = 0.0
        return JSONResponse(seen)


def written_config(servers: int) -> Path:
    """Write a configuration with this many servers, with typical labels."""
    chance = random.Random(1)  # noqa: S311 - not a secret
    path = Path(f"/tmp/scrape-{os.getpid()}.yaml")  # noqa: S108 - deleted immediately
    entries = (
        f"      - {{id: {uuid.UUID(int=chance.getrandbits(128))}, name: srv-{number:05},"
        f" labels: {{rack: r{number % 40:02}, team: storage}}}}\n"
        for number in range(servers)
    )
    path.write_text(CONFIG + "".join(entries))
    return path


def result(target: Target, chance: random.Random) -> ProbeResult:
    """Return a result with a duration of many digits; some results are failures."""
    success = ProbeResult(
        target,
        time.time(),
        Outcome.SUCCESS,
        status_code=200,
        request_id="r" * 32,
        stages=(StageTiming(Stage.API, chance.random(), passed=True),),
    )
    if chance.random() >= FAILING:
        return success
    return replace(success, outcome=Outcome.SERVER_ERROR, failed_stage=Stage.API, status_code=500)


async def serve(servers: int, *, watch: bool) -> None:
    """Serve until killed."""
    log.configure(level="error", form="logfmt")
    path = written_config(servers)
    try:
        config = load(path, {})
    finally:
        path.unlink()
    clock = SystemClock()
    exporter = Exporter(config, version="0", clock=clock)
    chance = random.Random(2)  # noqa: S311 - not a secret
    for known in list(exporter.state):
        for _ in range(3):
            exporter.state.record(result(known.target, chance))
    systemd = Notifier({}, clock)
    application = web_application(
        RunningExporter(exporter, load=lambda: config, systemd=systemd, clock=clock)
    )
    if watch:
        ticker = Ticker()
        application.routes.append(Route("/watch", ticker.figures))
        ticking = asyncio.create_task(ticker.run())
    with listen("127.0.0.1:0") as listening:
        host, port = listening.getsockname()[:2]
        print(f"listening on http://{host}:{port}/metrics", flush=True)
        await WebServer(application, LiveConfig(OPEN, time.time)).serve(sockets=[listening])
    if watch:
        ticking.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument(
        "--watch", action="store_true", help="measure lateness; results are at /watch"
    )
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options.servers, watch=options.watch))
