"""The demonstration: the pretend cloud and an exporter that probes it, both on loopback."""

import os
import subprocess
import sys
from pathlib import Path

from exporter.config.load import ConfigError, load
from exporter.serve import serve

_EXPORTER_ADDRESS = "127.0.0.1:10429"
_STOP_SECONDS = 5


def demo(*, simulator_address: str, log_level: str, log_format: str, version: str) -> int:
    """Run both until interrupted; return the exit status. The ports are those of config.yaml."""
    path = shipped_config()
    try:
        config = load(path, os.environ)
    except ConfigError as error:
        _say(str(error))
        return 1
    # A process of its own: what the pretend cloud does must not show in our latencies.
    simulator = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "exporter", "simulate", f"--listen={simulator_address}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if simulator.stdout is None or not simulator.stdout.readline():
            _say("console-exporter: the pretend cloud did not start; see the line above")
            return 1
        _say(
            f"""
Console Exporter probes a pretend cloud at http://{simulator_address}, as {path} says. Open:

  http://{_EXPORTER_ADDRESS}/                      each console's state
  http://{_EXPORTER_ADDRESS}/metrics               what Prometheus scrapes
  http://{_EXPORTER_ADDRESS}/probe?target=db-01&debug=true   one probe, told in full

Every server is probed within the first 15 seconds. Stop with Ctrl-C.
"""
        )
        return serve(
            config,
            path=path,
            address=_EXPORTER_ADDRESS,
            log_level=log_level,
            log_format=log_format,
            version=version,
        )
    finally:
        simulator.terminate()
        try:
            simulator.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            simulator.kill()


def shipped_config() -> Path:
    """Return the documented example: beside the package in a wheel, above it in a checkout."""
    package = Path(__file__).parent
    inside = package / "config.yaml"
    return inside if inside.exists() else package.parent / "config.yaml"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is what the command is for
