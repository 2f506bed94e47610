"""A newcomer sees an alert fire within three minutes."""

import socket
import sys
from typing import Any

import httpx
import pytest

from tests.real.programs import command, program, required, until

# The demonstration's ports are fixed: one at a time.
pytestmark = pytest.mark.xdist_group("demo")

ALERTS = "http://127.0.0.1:9093/api/v2/alerts"


def firing() -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = httpx.get(ALERTS, timeout=5).json()
    except (httpx.TransportError, ValueError):
        return []
    return found


def test_the_demonstration_with_prometheus_raises_an_alert() -> None:
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
    # Nobody is left behind.
    for port in (9090, 9093, 18080, 10429):
        with socket.socket() as knocking:
            assert knocking.connect_ex(("127.0.0.1", port)) != 0, port


def test_the_demonstration_says_what_is_in_its_way() -> None:
    with socket.create_server(("127.0.0.1", 9090)):
        ended = command("demo", "--prometheus")
    assert ended.returncode == 1
    assert "127.0.0.1:9090" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_the_demonstration_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ended = command("demo", "--prometheus")
    assert ended.returncode == 1
    assert "apt install prometheus prometheus-alertmanager" in ended.stdout
