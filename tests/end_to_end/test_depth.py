"""Tests of probe depths beyond the API."""

import json
from pathlib import Path

import httpx

from exporter.model import Stage
from tests.real.programs import command, exporter, until
from tests.real.simulated_project import write_config

GOOD = "db-01"


def test_probe_can_go_deeper_than_configured(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers, interval="5s", timeout="4s")

    text = command("probe", f"--config.file={config}", "--depth=security", GOOD)
    assert (text.returncode, text.stderr) == (0, "")
    rows = [line.split("|") for line in text.stdout.splitlines() if line.count("|") == 2]
    assert [row[0].strip() for row in rows] == list(Stage)
    # The bars of the waterfall start one after the other.
    starts = [row[1].index("=") for row in rows]
    assert starts == sorted(starts)
    assert "RFB 003.008" in text.stdout
    assert "None" in text.stdout

    as_json = command("probe", f"--config.file={config}", "--depth=page", "--format=json", GOOD)
    assert [one["stage"] for one in json.loads(as_json.stdout)["stages"]] == ["api", "page"]

    default = command("probe", f"--config.file={config}", GOOD)
    assert "page" not in default.stdout


def test_every_stage_has_metrics_and_probes_on_demand_reach_any_depth(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    deep = [server for server in servers if server[1] in {GOOD, "db-02"}]
    config = write_config(
        tmp_path / "config.yaml", cloud, deep, interval="3s", timeout="2s", depth="security"
    )
    with exporter(config) as ours:
        base = f"http://{ours.url}"
        stages = {f'server="{name}",stage="{stage}"' for _, name in deep for stage in Stage}
        until(lambda: all(one in httpx.get(f"{base}/metrics").text for one in stages), 10)
        metrics = httpx.get(f"{base}/metrics").text
        assert 'console_http_connection_duration_seconds_count{phase="connect"' in metrics

        params = {"target": GOOD, "depth": "websocket", "debug": "true"}
        response = httpx.get(f"{base}/probe", params=params, timeout=10)
        assert "websocket |" in response.text
        assert "rfb " not in response.text
        assert "security " not in response.text
        assert "token=" not in response.text
        assert httpx.get(f"{base}/probe?target={GOOD}&depth=deep").status_code == 400
