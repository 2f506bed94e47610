"""Run blackbox_exporter with the same checks as this exporter, and scrape it like Prometheus.

blackbox_exporter probes on request, so the benchmark sends requests at the rate to measure.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from benchmarks.peers import peer
from tests.real.programs import Program, free_port, program


@contextlib.contextmanager
def blackbox_exporter(folder: Path, authority: Path, token: str) -> Iterator[Program]:
    """Run it with the checks of this exporter: certificate, status and body."""
    module = {
        "prober": "http",
        "timeout": "5s",
        "http": {
            "valid_status_codes": [200],
            "headers": {"X-Auth-Token": token},
            "fail_if_body_not_matches_regexp": ['"url": "https?://[^"]+"'],
            "tls_config": {"ca_file": str(authority)},
        },
    }
    file = folder / "blackbox.yml"
    file.write_text(json.dumps({"modules": {"console": module}}))
    port = free_port()
    command = [
        peer("blackbox_exporter"),
        f"--config.file={file}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with program(command, r"Listening on|msg=\"?TLS is disabled") as running:
        running.url = f"http://127.0.0.1:{port}"
        yield running


async def request_probes(
    blackbox: str,
    rate: float,
    target: Callable[[int], str],
    take: Callable[[int, str], None],
    done: asyncio.Event,
) -> None:
    """Request ``rate`` probes a second until ``done``; pass each number and metrics to ``take``.

    ``target`` returns the URL that the probe of this number requests.
    """
    running: set[asyncio.Task[None]] = set()
    failed = list[str]()
    async with httpx.AsyncClient(timeout=60) as client:

        async def one(number: int) -> None:
            query = {"module": "console", "target": target(number)}
            text = (await client.get(f"{blackbox}/probe", params=query)).text
            if "probe_success 1" not in text:
                failed.append(text)
            take(number, text)

        due, number = time.monotonic(), 0
        while not done.is_set() and not failed:
            task = asyncio.create_task(one(number))
            running.add(task)
            task.add_done_callback(running.discard)
            due, number = due + 1 / rate, number + 1
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*running)
    if failed:
        raise SystemExit(f"a probe of blackbox_exporter failed:\n{failed[0]}")
