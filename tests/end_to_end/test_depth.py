"""The whole way to the console, as a user asks for it and sees it."""

import json
from pathlib import Path

import httpx

from exporter.model import Stage
from tests.real.programs import command, exporter, until
from tests.real.simulated_project import write_config

GOOD = "db-01"


def test_a_probe_can_be_told_to_go_deeper_than_configured(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers, interval="5s", timeout="4s")

    drawn = command("probe", f"--config.file={config}", "--depth=rfb", GOOD)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    rows = [line.split("|") for line in drawn.stdout.splitlines() if line.count("|") == 2]
    assert [row[0].strip() for row in rows] == list(Stage)
    # One bar below the other, none before the end of the one above.
    starts = [row[1].index("=") for row in rows]
    assert starts == sorted(starts)
    assert "RFB 003.008" in drawn.stdout

    told = command("probe", f"--config.file={config}", "--depth=page", "--format=json", GOOD)
    assert [one["stage"] for one in json.loads(told.stdout)["stages"]] == ["api", "page"]

    short = command("probe", f"--config.file={config}", GOOD)
    assert "page" not in short.stdout


def test_the_running_exporter_times_every_stage_and_probes_on_demand_to_any_depth(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    deep = [server for server in servers if server[1] in {GOOD, "db-02"}]
    config = write_config(
        tmp_path / "config.yaml", cloud, deep, interval="3s", timeout="2s", depth="rfb"
    )
    with exporter(config) as ours:
        base = f"http://{ours.url}"
        stages = {f'server="{name}",stage="{stage}"' for _, name in deep for stage in Stage}
        until(lambda: all(one in httpx.get(f"{base}/metrics").text for one in stages), 10)
        metrics = httpx.get(f"{base}/metrics").text
        assert 'console_http_connection_duration_seconds_count{phase="connect"' in metrics

        asked = {"target": GOOD, "depth": "websocket", "debug": "true"}
        answer = httpx.get(f"{base}/probe", params=asked, timeout=10)
        assert "websocket |" in answer.text
        assert "rfb " not in answer.text
        assert "token=" not in answer.text
        assert httpx.get(f"{base}/probe?target={GOOD}&depth=deep").status_code == 400
