"""Run the exporter, the simulator, Prometheus and Alertmanager as processes."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from threading import Thread
from typing import Any

import httpx
import pytest

START_SECONDS = 120.0
_random, _returned_ports = SystemRandom(), set[int]()


@dataclass
class Program:
    """A running process and its output so far."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def output(self) -> str:
        """Return all output so far."""
        return "".join(self.lines)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 10.0) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def program(
    command: list[str],
    ready: str,
    environ: Mapping[str, str] | None = None,
    inherited: tuple[int, ...] = (),
) -> Iterator[Program]:
    """Run a command until the block ends; enter the block when a line matches ``ready``.

    The first group of ``ready``, if any, becomes the program's ``url``. ``inherited`` are file
    descriptors to pass to the process.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})},
        pass_fds=inherited,
    )
    running = Program(process)
    pattern = re.compile(ready)
    found: list[re.Match[str]] = []

    def read() -> None:
        for line in process.stdout or ():
            running.lines.append(line)
            if not found and (match := pattern.search(line)):
                found.append(match)

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        until(lambda: bool(found) or process.poll() is not None, START_SECONDS)
        reader.join(0.1)
        if not found:
            raise AssertionError(f"{command[0]} did not start:\n{running.output}")
        running.url = found[0][1] if pattern.groups else ""
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(5)
        if process.stdout:
            process.stdout.close()


def exporter(
    config: Path, environ: Mapping[str, str] | None = None, *flags: str
) -> contextlib.AbstractContextManager[Program]:
    """Run ``serve`` on a free loopback port."""
    return program(
        [
            sys.executable, "-W", "error", "-m", "exporter", "serve",
            f"--config.file={config}", "--web.listen-address=127.0.0.1:0", *flags,
        ],
        r"address[\": =]+(127\.0\.0\.1:\d+)",
        environ,
    )  # fmt: skip


def simulator(*flags: str) -> contextlib.AbstractContextManager[Program]:
    """Run ``simulate`` on a free loopback port."""
    return program(
        [sys.executable, "-m", "exporter", "simulate", "--listen=127.0.0.1:0", *flags],
        r"listening on (https?://127\.0\.0\.1:\d+)",
    )


def command(*arguments: str, environ: Mapping[str, str] | None = None) -> Any:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "exporter", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(environ or {})},
    )


def required(name: str) -> str:
    """Return the path of an installed program; without it skip the test, or fail in CI."""
    path = shutil.which(name)
    if path:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed; `make test` installs it")
    pytest.skip(f"{name} is not installed")


@contextlib.contextmanager
def prometheus(  # noqa: PLR0913 - parameters of tests and benchmarks
    folder: Path,
    target: str,
    interval: str = "1s",
    *,
    evaluation: str = "15s",
    rules: Path | None = None,
    alertmanager: str = "",
    scrape: str = "",
    flags: tuple[str, ...] = (),
) -> Iterator[Program]:
    """Run a real Prometheus that scrapes ``target`` (host:port).

    ``rules`` is a folder with the generated rules, ``alertmanager`` the address to send alerts to,
    ``scrape`` additional keys of the scrape configuration, ``flags`` additional flags.
    """
    binary = required("prometheus")
    port = free_port()
    files = [f"{rules}/recording.yaml", f"{rules}/alerts.yaml"] if rules else []
    managers = [alertmanager.removeprefix("http://")] if alertmanager else []
    (folder / "prometheus.yml").write_text(
        f"""
global:
  scrape_interval: {interval}
  scrape_timeout: {interval}
  evaluation_interval: {evaluation}
rule_files: {json.dumps(files)}
alerting: {{alertmanagers: [{{static_configs: [{{targets: {json.dumps(managers)}}}]}}]}}
scrape_configs:
  - job_name: console-exporter
    static_configs: [{{targets: ["{target}"]}}]
{scrape}"""
    )
    with program(
        [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            "--rules.alert.resend-delay=1s",
            "--log.level=debug",
            *flags,
        ],
        r"Server is ready to receive web requests",
    ) as running:
        running.url = f"http://127.0.0.1:{port}"
        yield running


@contextlib.contextmanager
def alertmanager(folder: Path, config: Path) -> Iterator[str]:
    """Run a real Alertmanager with its state in ``folder``; yield its address."""
    port = free_port()
    with program(
        [
            required("prometheus-alertmanager"),
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        r"Listening on",
    ):
        url = f"http://127.0.0.1:{port}"
        until(lambda: _is_up(f"{url}/-/ready"), 60)
        yield url


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def query(prometheus_url: str, expression: str) -> list[dict[str, Any]]:
    """Return the samples of an instant query."""
    response = httpx.get(f"{prometheus_url}/api/v1/query", params={"query": expression}, timeout=30)
    response.raise_for_status()
    found: list[dict[str, Any]] = response.json()["data"]["result"]
    return found


def free_port() -> int:
    """Return a free loopback port that was not returned before.

    It is outside of the ephemeral range and not a port of the demo, so that it stays free.
    """
    while True:
        port = _random.randrange(19_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in _returned_ports:
                _returned_ports.add(port)
                return port


def until(condition: Callable[[], object], seconds: float, every: float = 0.05) -> None:
    """Wait for a condition; fail if it is not met within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"condition not met within {seconds} s"
        time.sleep(every)
