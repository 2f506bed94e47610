"""Test of the log events of an outage."""

import json
from pathlib import Path

import httpx

from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.programs import exporter, simulator, until
from tests.real.simulated_project import listed_servers, write_config

DOWN = {"kind": "status", "status": 503, "error_code": "APIGW.0613", "servers": "db-*"}


@retry_if_machine_stalled
def test_an_outage_logs_one_event_per_server_at_its_start_and_its_end(
    tmp_path: Path,
) -> None:
    with simulator("--scenario=calm") as cloud:
        listed = [one for one in listed_servers(cloud.url) if one[1].startswith(("db-", "web-"))]
        broken = {server_id: name for server_id, name in listed if name.startswith("db-")}
        config = write_config(
            tmp_path / "config.yaml", cloud.url, listed, interval="4s", timeout="3900ms"
        )
        with exporter(config, None, "--log.format=json") as ours:
            scrape = f"http://{ours.url}/metrics?name[]=console_probe_success"
            until(lambda: httpx.get(scrape).text.count("} 1.0\n") == len(listed), 30)
            httpx.put(f"{cloud.url}/simulator/faults", json=[DOWN]).raise_for_status()
            until(lambda: ours.output.count("console unavailable") == len(broken), 30)
            httpx.put(f"{cloud.url}/simulator/faults", json=[]).raise_for_status()
            until(lambda: ours.output.count("console recovered") == len(broken), 30)
    events = [json.loads(line) for line in ours.lines]
    assert len(events) == 2 * len(broken) + len({"listening", "stopping"})
    for server_id, name in broken.items():
        unavailable, recovered = [event for event in events if event.get("server_id") == server_id]
        assert (unavailable["event"], unavailable["level"]) == ("console unavailable", "warning")
        assert (unavailable["outcome"], unavailable["stage"], unavailable["server"]) == (
            "server_error",
            "api",
            name,
        )
        assert unavailable["error_code"] == "APIGW.0613"
        assert unavailable["request_id"]
        assert (recovered["event"], recovered["level"]) == ("console recovered", "info")
        assert recovered["duration_seconds"] > 0
        assert 0.5 < recovered["down_seconds"] < 60
