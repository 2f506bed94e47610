"""Tests of the demo: with Prometheus an alert fires within three minutes."""

import socket
import sys
from typing import Any

import httpx
import pytest

from tests.real.programs import command, program, required, until

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("demo_ports")]

ALERTS = "http://127.0.0.1:9093/api/v2/alerts"


def firing() -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = httpx.get(ALERTS, timeout=5).json()
    except (httpx.TransportError, ValueError):
        return []
    return found


def test_the_demo_with_prometheus_fires_an_alert() -> None:
    required("prometheus")
    required("prometheus-alertmanager")
    with program(
        [sys.executable, "-m", "exporter", "demo", "--prometheus"], "event=listening"
    ) as running:
        assert "http://127.0.0.1:9090/alerts" in running.output
        until(lambda: "ConsoleUnavailable" in repr(firing()), 180, every=1)
        unavailable = [
            one for one in firing() if one["labels"]["alertname"] == "ConsoleUnavailable"
        ]
        assert {"server", "outcome", "stage", "region"} <= unavailable[0]["labels"].keys()
        running.stop()
    # No process is left running.
    for port in (9090, 9093, 18080, 10429):
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0, port


def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 9090)):
        ended = command("demo", "--prometheus")
    assert ended.returncode == 1
    assert "127.0.0.1:9090" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_missing_program_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ended = command("demo", "--prometheus")
    assert ended.returncode == 1
    assert "apt install prometheus prometheus-alertmanager" in ended.stdout
