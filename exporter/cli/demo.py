"""Run a demo on loopback: a simulated cloud, an exporter, and optionally Prometheus."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.app.serve import Settings, serve
from exporter.config.load import ConfigError, load

_EXPORTER_ADDRESS = "127.0.0.1:10429"
_PROMETHEUS_ADDRESS = "127.0.0.1:9090"
_ALERTMANAGER_ADDRESS = "127.0.0.1:9093"
_STOP_SECONDS = 5
# Debian's package gives the program a different name.
_ALERTMANAGER_NAMES = ("prometheus-alertmanager", "alertmanager")


class DemoError(Exception):
    """The demo cannot run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The settings of a demo; ``scenario`` is a file or the name of a shipped scenario."""

    simulator_address: str
    scenario: str
    log_level: str
    log_format: str
    version: str


def demo(settings: Demo, *, prometheus: bool) -> int:
    """Run the demo until interrupted; return the exit status. Ports are those of config.yaml."""
    path = shipped("config.yaml")
    with ExitStack() as running:
        try:
            config = load(path, os.environ)
            lines = _intro(settings, path)
            _start_simulator(running, settings)
            if prometheus:
                lines += _start_prometheus(running)
        except (ConfigError, DemoError) as error:
            _say(str(error))
            return 1
        _say("\n".join([*lines, "", "Stop with Ctrl-C.", ""]))
        return serve(
            config,
            Settings(
                config_file=path,
                listen_addresses=(_EXPORTER_ADDRESS,),
                log_level=settings.log_level,
                log_format=settings.log_format,
                version=settings.version,
            ),
        )


def _intro(settings: Demo, path: Path) -> list[str]:
    return [
        "",
        f"Console Exporter probes a simulated cloud, http://{settings.simulator_address},",
        f"configured by {path}.",
        "Every server is probed once within the first 15 seconds. Open:",
        "",
        f"  http://{_EXPORTER_ADDRESS}/                      the state of each console",
        f"  http://{_EXPORTER_ADDRESS}/metrics               the metrics",
        f"  http://{_EXPORTER_ADDRESS}/probe?target=db-01&debug=true   one probe in detail",
    ]


def _start_simulator(running: ExitStack, settings: Demo) -> None:
    # A separate process, so that the simulator's load does not affect measured latencies.
    command = [
        sys.executable, "-m", "exporter", "simulate",
        f"--listen={settings.simulator_address}", f"--scenario={settings.scenario}",
    ]  # fmt: skip
    simulator = running.enter_context(_child(command, stdout=subprocess.PIPE))
    if simulator.stdout is None or not simulator.stdout.readline():
        raise DemoError("console-exporter: the simulated cloud did not start; see the line above")


def _start_prometheus(running: ExitStack) -> list[str]:
    """Start Prometheus and Alertmanager with the shipped files; return the addresses to open."""
    programs = _installed()
    for address in (_PROMETHEUS_ADDRESS, _ALERTMANAGER_ADDRESS):
        _check_free(address)
    data = Path(running.enter_context(TemporaryDirectory(prefix="console-exporter-")))
    for name, command in (
        (
            "alertmanager",
            [
                programs["alertmanager"],
                f"--config.file={shipped('deploy/alertmanager/alertmanager.yml')}",
                f"--storage.path={data / 'alertmanager'}",
                f"--web.listen-address={_ALERTMANAGER_ADDRESS}",
                "--cluster.listen-address=",
            ],
        ),
        (
            "prometheus",
            [
                programs["prometheus"],
                f"--config.file={shipped('deploy/prometheus/prometheus.yml')}",
                f"--storage.tsdb.path={data / 'prometheus'}",
                f"--web.listen-address={_PROMETHEUS_ADDRESS}",
            ],
        ),
    ):
        log = running.enter_context((data / f"{name}.log").open("w"))
        running.enter_context(_child(command, stdout=log, stderr=subprocess.STDOUT))
    return [
        f"  http://{_PROMETHEUS_ADDRESS}/alerts    an alert fires within three minutes",
        f"  http://{_ALERTMANAGER_ADDRESS}/          Alertmanager's notifications",
    ]


def _installed() -> dict[str, str]:
    found = {
        "prometheus": shutil.which("prometheus"),
        "alertmanager": next(filter(None, map(shutil.which, _ALERTMANAGER_NAMES)), None),
    }
    if missing := [name for name, path in found.items() if path is None]:
        raise DemoError(
            f"console-exporter: {' and '.join(missing)} not found; on Debian:"
            " apt install prometheus prometheus-alertmanager"
        )
    return {name: path for name, path in found.items() if path is not None}


def _check_free(address: str) -> None:
    host, _, port = address.rpartition(":")
    with socket.socket() as client:
        if client.connect_ex((host, int(port))) == 0:
            raise DemoError(
                f"console-exporter: address {address} is already in use; stop the program"
                " that listens there (Debian's packages start theirs: systemctl stop prometheus"
                " prometheus-alertmanager)"
            )


@contextmanager
def _child(command: list[str], **streams: object) -> Iterator["subprocess.Popen[str]"]:
    """Run a program as a child process until the block ends."""
    process = subprocess.Popen(command, text=True, **streams)  # type: ignore[call-overload]  # noqa: S603 - trusted
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def shipped(name: str) -> Path:
    """Return a shipped file: inside the package in a wheel, next to it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "shipped" / name
    return inside if inside.exists() else package.parent / name


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the output of the command
