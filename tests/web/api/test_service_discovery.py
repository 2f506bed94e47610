"""HTTP service discovery: the format, and a real Prometheus that uses it."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from exporter.model import Stage
from exporter.outcome import Outcome
from tests.real.programs import exporter, free_port, program, query, required, simulator, until
from tests.real.simulated_project import listed_servers, write_config
from tests.web.fake_exporter import FakeExporter

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"
HTTP_SD = "/api/v1/servers?format=http_sd"


async def test_target_has_all_meta_labels(client: httpx.AsyncClient, fake: FakeExporter) -> None:
    target = fake.add("id-1", name="db-01", rack="r12", team="storage")
    fake.state.reconcile([replace(target, depth=Stage.RFB)])
    response = await client.get(HTTP_SD)
    assert response.headers["content-type"] == "application/json"
    assert response.json() == [
        {
            "targets": ["id-1"],
            "labels": {
                "instance": "southwest/id-1",
                "__param_target": "id-1",
                "__param_project": "southwest",
                "__meta_console_project": "southwest",
                "__meta_console_server_id": "id-1",
                "__meta_console_server": "db-01",
                "__meta_console_region": "cn-southwest-2",
                "__meta_console_depth": "rfb",
                "__meta_console_label_rack": "r12",
                "__meta_console_label_team": "storage",
            },
        }
    ]


async def test_filters_apply_to_targets(client: httpx.AsyncClient, fake: FakeExporter) -> None:
    fake.add("b", Outcome.SUCCESS)
    fake.add("a", Outcome.TIMEOUT)
    fake.add("c", Outcome.TIMEOUT, project="east")
    response = await client.get(f"{HTTP_SD}&state=failing&limit=1&after=east/c")
    assert [one["targets"] for one in response.json()] == [["a"]]


async def test_no_servers_give_an_empty_list(client: httpx.AsyncClient) -> None:
    assert (await client.get(HTTP_SD)).json() == []


async def test_targets_are_503_until_the_exporter_is_ready(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.add("id-1")
    fake.unready = "shutting down"
    response = await client.get(HTTP_SD)
    assert (response.status_code, response.json()["errorType"]) == (503, "unavailable")
    assert response.json()["error"] == "not ready: shutting down; try again later"
    assert (await client.get("/api/v1/servers")).status_code == 200


async def test_targets_are_503_until_every_source_has_listed_its_servers(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.missing = "the servers of project east from source cloud are not known yet"
    response = await client.get("/api/v1/servers", params={"format": "http_sd"})
    assert response.status_code == 503
    assert fake.missing in response.json()["error"]
    assert (await client.get("/api/v1/servers")).status_code == 200


def test_prometheus_discovers_and_probes_the_servers(tmp_path: Path) -> None:
    """Uses the scrape configuration of docs/api.md with a shorter interval."""
    (shown,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    with simulator("--seed=1", "--scenario=calm") as cloud:
        servers = listed_servers(cloud.url)[:3]
        config = write_config(tmp_path / "config.yaml", cloud.url, servers, interval="60s")
        with exporter(config) as ours, prometheus(tmp_path, shown, ours.url) as url:
            until(lambda: len(query(url, "console_probe_success == 1")) == len(servers), 30)
            until(lambda: {one["health"] for one in active_targets(url)} == {"up"}, 30)
            targets = active_targets(url)
            # One scrape per server, of `/probe` at the exporter's address.
            assert {one["scrapeUrl"].partition("?")[0] for one in targets} == {
                f"http://{ours.url}/probe"
            }
            found = {
                (one["labels"]["instance"], one["discoveredLabels"]["__meta_console_server"])
                for one in targets
            }
            assert found == {(f"southwest/{server_id}", name) for server_id, name in servers}
            assert {
                (one["metric"]["instance"], one["metric"]["server"])
                for one in query(url, "console_probe_success")
            } == found
            until(lambda: len(query(url, "up == 1")) == len(servers), 30)


def active_targets(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/api/v1/targets").json()["data"]["activeTargets"]
    return found


@contextlib.contextmanager
def prometheus(folder: Path, shown: str, address: str) -> Iterator[str]:
    """Run a real Prometheus with the given scrape configuration and the exporter's address."""
    written = yaml.safe_load(shown.replace("localhost:10429", address))
    (job,) = written["scrape_configs"]
    job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    (folder / "prometheus.yml").write_text(json.dumps(written))
    port = free_port()
    with program(
        [
            required("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        r"Server is ready to receive web requests",
    ):
        yield f"http://127.0.0.1:{port}"
