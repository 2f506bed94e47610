"""Tests of discovery from files and from the cloud with a running exporter."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.real.machine_stalls import measuring_stalls
from tests.real.programs import Program, command, exporter, simulator, until
from tests.real.simulated_project import PASSWORD, write_config

MANY = 10_000
LISTED = 20
"""Servers of the default scenario."""
REFRESHES = "console_discovery_refreshes_total"
LABELS = "labels: {rack: location.rack}"
# About 0.015 s on two idle cores; the rest is for busy machines.
LAG_SECONDS = 0.3


def write(
    path: Path, cloud: str, servers: list[tuple[str, str]], sources: str, *, interval: str = "300s"
) -> Path:
    """Write a configuration with further sources of servers."""
    write_config(path, cloud, servers, interval=interval, timeout="5s", rate=50.0)
    text = path.read_text() if servers else path.read_text().replace("    servers:\n", "")
    path.write_text(f"{text}    {sources}\n")
    return path


def metric(url: str, name: str, **labels: str) -> float | None:
    """Return the value of the first sample with this name and these labels."""
    text = httpx.get(f"http://{url}/metrics", params={"name[]": name}, timeout=30).text
    for line in text.splitlines():
        if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
            return float(line.rpartition(" ")[2])
    return None


def discovered(url: str, source: str) -> float | None:
    return metric(url, "console_discovery_servers", source=source)


def infos(url: str) -> str:
    return httpx.get(f"http://{url}/metrics", params={"name[]": "console_server_info"}).text


def names(url: str) -> set[str]:
    return set(re.findall(r'server="([^"]*)"', infos(url)))


@pytest.fixture(scope="module")
def large() -> Iterator[Program]:
    """Run a simulated cloud with many servers."""
    with simulator(f"--servers={MANY}") as running:
        yield running


def test_ten_thousand_servers_are_discovered_without_delaying_probes(
    tmp_path: Path, large: Program
) -> None:
    mine = [("5b0f0c53-6f0b-4c1e-9a51-2d3c6a1e0001", "mine")]
    discovery = f"discovery: {{refresh_interval: 10s, {LABELS}}}"
    config = write(tmp_path / "config.yaml", large.url, mine, discovery, interval="600s")
    with measuring_stalls() as stalls, exporter(config) as ours:
        # Static servers do not wait for the cloud.
        assert httpx.get(f"http://{ours.url}/-/ready").status_code == 200
        until(lambda: discovered(ours.url, "cloud") == MANY + LISTED - 1, 30, every=0.2)
        assert discovered(ours.url, "static") == 1
        # Wait for a refresh without changes.
        until(
            lambda: (
                (metric(ours.url, "console_discovery_refreshes_total", source="cloud") or 0) > 1
            ),
            30,
            every=0.2,
        )
        lag = metric(ours.url, "console_exporter_event_loop_lag_seconds")
        assert lag is not None
        assert lag < LAG_SECONDS + stalls.longest
        requests = metric(
            ours.url, "console_api_requests_total", operation="list_servers", code="200"
        )
        assert requests is not None
        assert requests % (MANY // 1000 + 1) == 0
        # A reload with other changes keeps all discovered servers.
        info = httpx.get(
            f"http://{ours.url}/metrics", params={"name[]": "console_server_info"}
        ).text
        config.write_text(config.read_text().replace('name: "mine"', 'name: "ours"'))
        assert httpx.post(f"http://{ours.url}/-/reload", timeout=30).status_code == 200
        after = httpx.get(
            f"http://{ours.url}/metrics", params={"name[]": "console_server_info"}
        ).text
        assert len(after.splitlines()) == len(info.splitlines()) == MANY + LISTED + 2
        assert 'server="ours"' in after
        assert re.search(
            r'server="server-00001".*health_state="OK",power_state="on",rack="r\d\d"}', after
        )
        assert "gone=0" in ours.output
        assert "gone=1" not in ours.output
    assert "Traceback" not in ours.output


def test_changed_server_files_are_reloaded(tmp_path: Path, cloud: str) -> None:
    folder = tmp_path / "servers"
    folder.mkdir()
    (folder / "a.yaml").write_text("- {id: a, name: one}\n")
    config = write(tmp_path / "config.yaml", cloud, [], 'server_files: ["servers/*"]')
    with exporter(config) as ours:
        # Server files are read before the first probe.
        assert names(ours.url) == {"one"}
        (tmp_path / "new").write_text(json.dumps([{"id": "a", "name": "one"}, {"id": "b"}]))
        (tmp_path / "new").rename(folder / "b.json")
        (folder / "a.yaml").unlink()
        until(lambda: names(ours.url) == {"one", "b"}, 15)
        (folder / "b.json").write_text('[{"id": "a", "name": "on')
        until(lambda: "server files invalid" in ours.output, 15)
        assert re.search(r"b\.json:1:\d+: not valid YAML", ours.output)
        assert names(ours.url) == {"one", "b"}
        assert metric(ours.url, "console_discovery_failures_total", source="file") == 1
        # A reload of the configuration keeps them as well.
        assert httpx.post(f"http://{ours.url}/-/reload", timeout=30).status_code == 200
        assert names(ours.url) == {"one", "b"}
        (folder / "b.json").unlink()
        (folder / "c.yaml").write_text("- {id: c}\n")
        until(lambda: names(ours.url) == {"c"}, 15)
        assert discovered(ours.url, "cloud") is None
        assert discovered(ours.url, "static") is None
    assert "Traceback" not in ours.output


def test_a_hanging_server_list_does_not_delay_probes(tmp_path: Path) -> None:
    with simulator("--seed=1") as running:
        hang = [{"kind": "hang", "operation": "list_servers"}]
        httpx.put(f"{running.url}/simulator/faults", json=hang).raise_for_status()
        mine = [("5b0f0c53-6f0b-4c1e-9a51-2d3c6a1e0001", "mine")]
        config = write(tmp_path / "config.yaml", running.url, mine, "discovery: {}", interval="6s")
        with exporter(config) as ours:
            assert httpx.get(f"http://{ours.url}/-/ready").status_code == 200
            until(lambda: metric(ours.url, "console_probe_success") == 1, 15)
            assert discovered(ours.url, "cloud") == 0
            until(lambda: "listing the cloud's servers failed" in ours.output, 15)
            last = "console_discovery_last_success_timestamp_seconds"
            assert metric(ours.url, last, source="cloud") == 0
            assert metric(ours.url, "console_discovery_failures_total", source="cloud") == 1


def test_discover_prints_the_servers_of_each_source(tmp_path: Path, cloud: str) -> None:
    (tmp_path / "more.json").write_text(
        '[{"id": "f-1", "name": "from a file", "labels": {"x": 1}}]'
    )
    config = write(
        tmp_path / "config.yaml",
        cloud,
        [("5b0f0c53-6f0b-4c1e-9a51-2d3c6a1e0001", "mine")],
        f"server_files: [more.json]\n    discovery: {{name_regex: 'db-0[12]', {LABELS}}}",
    )
    ended = command("discover", f"--config.file={config}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.sub(r"rack=r\d\d", "rack=r00", ended.stdout) == (
        """\
project southwest (cn-southwest-2)
  static: 1 server
    5b0f0c53-6f0b-4c1e-9a51-2d3c6a1e0001  mine
  file: 1 server
    f-1  from a file  x=1
  cloud: 2 servers
    5b0f0c53-6f0b-4c1e-9a51-2d3c6a1e0001  db-01  (overridden by static)\
 health_state=OK power_state=on rack=r00
    5b0f0c53-6f0b-4c1e-9a51-2d3c6a1e0002  db-02  health_state=OK power_state=on rack=r00
"""
    )
    checked = command("check-config", f"--config.file={config}")
    assert checked.returncode == 0
    assert "2 servers need" in checked.stdout
    assert "plus the servers listed by the cloud, which are not counted here" in checked.stdout
    probed = command("probe", f"--config.file={config}", "db-02")
    assert probed.returncode == 0, probed.stderr


def test_discover_prints_the_error_of_each_source_without_secrets(
    tmp_path: Path, cloud: str
) -> None:
    (tmp_path / "more.json").write_text('[{"id": "/"}]')
    config = write(
        tmp_path / "config.yaml", cloud, [], "server_files: [more.json]\n    discovery: {}"
    )
    config.write_text(config.read_text().replace(PASSWORD, "hunter2"))
    ended = command("discover", f"--config.file={config}")
    assert ended.returncode == 1
    assert ended.stdout == "project southwest (cn-southwest-2)\n  file: failed\n  cloud: failed\n"
    file, listed = ended.stderr.splitlines()
    assert re.search(r"project southwest, file: .*more\.json:1:9: \[0\]\.id: expected", file)
    assert "project southwest, cloud: " in listed
    assert "hunter2" not in ended.stderr
    probed = command("probe", f"--config.file={config}", "db-02")
    assert probed.returncode == 1
    assert "cloud failed: " in probed.stderr
    assert "hunter2" not in probed.stderr
    checked = command("check-config", f"--config.file={config}")
    assert checked.returncode == 1
    assert "more.json:1:9: [0].id: expected" in checked.stderr
