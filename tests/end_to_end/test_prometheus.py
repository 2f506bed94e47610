"""Tests of a running exporter with Prometheus and promtool."""

import subprocess
from pathlib import Path

import httpx

from tests.real.programs import exporter, prometheus, query, required, until
from tests.real.simulated_project import write_config


def test_prometheus_scrapes_every_server_and_drops_removed_ones(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers)
    with exporter(config) as ours, prometheus(tmp_path, ours.url) as server:

        def known() -> set[str]:
            return {
                one["metric"]["server_id"] for one in query(server.url, "console_probe_success")
            }

        until(lambda: known() == {server_id for server_id, _ in servers}, 20)
        assert [one["value"][1] for one in query(server.url, "up")] == ["1"]

        outcomes = query(server.url, "count by (outcome) (console_probe_outcome)")
        assert {one["metric"]["outcome"] for one in outcomes} >= {"success", "not_ready"}
        until(lambda: query(server.url, "sum(rate(console_probes_total[30s])) > 0"), 30)

        write_config(config, cloud, servers[1:])
        reload = httpx.post(f"http://{ours.url}/-/reload")
        assert (reload.status_code, reload.text) == (200, "configuration reloaded\n")
        # Gone at the next scrape, not after five minutes of staleness.
        until(lambda: known() == {server_id for server_id, _ in servers[1:]}, 60)

        def health() -> list[tuple[str, str]]:
            found = httpx.get(f"{server.url}/api/v1/targets").json()["data"]["activeTargets"]
            return [(one["health"], one["lastError"]) for one in found]

        until(lambda: health() == [("up", "")], 30)
        complaints = [
            line
            for line in server.lines
            if "scrape" in line and ("level=warn" in line or "level=error" in line)
        ]
        assert complaints == []


def test_promtool_accepts_the_metrics(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    promtool = required("promtool")
    config = write_config(tmp_path / "config.yaml", cloud, servers)
    with exporter(config) as ours:
        metrics = f"http://{ours.url}/metrics"
        until(lambda: "console_probe_last_success" in httpx.get(metrics).text, 10)
        checked = subprocess.run(
            [promtool, "check", "metrics"],
            input=httpx.get(metrics).text,
            text=True,
            capture_output=True,
            check=False,
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
