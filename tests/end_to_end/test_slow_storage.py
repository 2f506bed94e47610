"""Tests that hanging or slow storage delays neither probes nor signals."""

import signal
import sys
import time
from pathlib import Path

import httpx

from tests.real.programs import program, until
from tests.real.simulated_project import write_config

_HANGING = """
import sys, time
from exporter.cli import main
from exporter.state.state_file import StateFile

def hang(*_):
    print("hanging", flush=True)
    time.sleep(600)

StateFile.write = hang
sys.exit(main())
"""


def test_sigterm_ends_the_program_while_the_state_file_hangs(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(
        tmp_path / "config.yaml", cloud, servers[:3], interval="1s", timeout="900ms"
    )
    serve = [
        "serve",
        f"--config.file={config}",
        f"--state.file={tmp_path / 'state.db'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with program(
        [sys.executable, "-c", _HANGING, *serve], r"address[\": =]+(127\.0\.0\.1:\d+)"
    ) as ours:
        until(lambda: "hanging" in ours.output, 30)
        before = attempts(ours.url)
        until(lambda: attempts(ours.url) > before, 30)

        started = time.monotonic()
        ours.process.send_signal(signal.SIGTERM)
        assert ours.process.wait(30) == 0
        # 4.8 s normally; the rest is for busy machines.
        assert time.monotonic() - started < 10


_SLOW = """
import asyncio, sys
from exporter.cli import main
from exporter.targets.discoverers import Discoverers

read = Discoverers.read_files

async def read_slowly(self, projects):
    print("reading", flush=True)
    found = await read(self, projects)
    await asyncio.sleep(1)
    return found

Discoverers.read_files = read_slowly
sys.exit(main())
"""


def test_a_reload_during_the_start_runs_after_it(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    listed = tmp_path / "servers.yaml"
    listed.write_text("- {id: from-the-file}\n")
    config = write_config(tmp_path / "config.yaml", cloud, servers[:1], interval="1d")
    one, two = config.read_text() + f"    server_files: [{listed}]\n", config.read_text()
    config.write_text(one)
    serve = ["serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0"]
    with program([sys.executable, "-c", _SLOW, *serve], "reading") as ours:
        config.write_text(two.replace("name: southwest", "name: another"))
        ours.process.send_signal(signal.SIGHUP)
        until(lambda: "configuration reloaded" in ours.output, 30)

        assert ours.output.index("listening") < ours.output.index("configuration reloaded")
        assert ours.stop(signal.SIGTERM) == 0
        assert "Traceback" not in ours.output


def attempts(url: str) -> float:
    text = httpx.get(f"http://{url}/metrics", timeout=30).text
    lines = [line for line in text.splitlines() if line.startswith("console_probes_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
