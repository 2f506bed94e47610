"""Responses and errors of all routes."""

import gzip
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.model import Stage, Target, TargetKey
from exporter.outcome import Outcome
from exporter.targets.sharding import Shard
from tests.web.fake_exporter import FakeExporter

DB = Target(TargetKey("southwest", "id-1"), "db-01", "cn-southwest-2", 60.0, 10.0)
WEB = Target(TargetKey("southwest", "id-2"), "<script>alert(1)</script>", "r", 60.0, 10.0)
ELSEWHERE = Target(TargetKey("southwest", "id-9"), "db-09", "cn-southwest-2", 60.0, 10.0)
OTHER_SHARD = (Shard(0, 3).owner(ELSEWHERE.key) + 1) % 3
TWIN = Target(TargetKey("east", "id-1"), "db-01", "cn-east-3", 60.0, 10.0)


@pytest.fixture
def fake() -> FakeExporter:
    fake = FakeExporter(others=[ELSEWHERE], shard=Shard(OTHER_SHARD, 3))
    fake.state.reconcile([DB, WEB, TWIN])
    fake.record(DB, Outcome.SUCCESS)
    fake.record(WEB, Outcome.SERVER_ERROR, detail="the API answered <b>500</b>")
    fake.now += 5
    return fake


@pytest.fixture
async def client(fake: FakeExporter) -> AsyncIterator[httpx.AsyncClient]:
    async with fake.client() as client:
        yield client


async def test_metrics_are_text_unless_openmetrics_is_preferred(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    plain = await client.get("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {family.name for family in text_families(plain.text)} >= {"console_probe_success"}
    accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.3"
    other = await client.get("/metrics", headers={"accept": accept})
    assert other.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = openmetrics(other.text)  # type: ignore[no-untyped-call]
    assert {family.name for family in families} >= {"console_probe_success"}
    assert len(fake.scrapes) == 2


async def test_metrics_path_does_not_redirect(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/metrics")).status_code == 200


async def test_metrics_are_compressed_only_if_the_client_accepts_gzip(
    client: httpx.AsyncClient,
) -> None:
    plain = await client.get("/metrics", headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in plain.headers
    async with client.stream("GET", "/metrics", headers={"accept-encoding": "gzip"}) as packed:
        raw = b"".join([piece async for piece in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content


async def test_name_parameters_select_families(client: httpx.AsyncClient) -> None:
    response = await client.get(
        "/metrics", params={"name[]": ["console_probe_success", "console_server_info"]}
    )
    assert {family.name for family in text_families(response.text)} == {
        "console_probe_success",
        "console_server_info",
    }


async def test_probe_returns_only_the_metrics_of_its_target(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.outcome = Outcome.SERVER_ERROR
    response = await client.get("/probe", params={"target": "id-2"})
    samples = [s for family in text_families(response.text) for s in family.samples]
    assert {sample.labels["server_id"] for sample in samples} == {"id-2"}
    assert [s.value for s in samples if s.name == "console_probe_success"] == [0.0]


async def test_inconclusive_probe_has_no_success_metric(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.outcome = Outcome.THROTTLED
    response = await client.get("/probe", params={"target": "id-2"})
    names = {s.name for family in text_families(response.text) for s in family.samples}
    assert "console_probe_success" not in names
    assert "console_probe_outcome" in names


async def test_debug_returns_the_full_report_of_a_probe(client: httpx.AsyncClient) -> None:
    response = await client.get("/probe", params={"target": "id-2", "debug": "true"})
    assert "250.0 ms" in response.text
    assert '"outcome": "success"' in response.text
    assert "console_probe_success{" in response.text


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 400, "target is missing"),
        ("target=unknown", 404, "no configured server"),
        ("target=169.254.169.254", 404, "no configured server"),
        ("target=id-1", 400, "set the project to one of east, southwest"),
        ("target=db-01", 400, "set the project to one of east, southwest"),
        ("target=id-1&project=north", 404, "no configured server"),
        ("target=id-2&depth=everything", 400, "depth must be one of api"),
    ],
)
async def test_only_a_configured_server_can_be_probed(
    client: httpx.AsyncClient, fake: FakeExporter, query: str, status: int, says: str
) -> None:
    response = await client.get(f"/probe?{query}")
    assert (response.status_code, says in response.text) == (status, True)
    assert fake.probed == []


@pytest.mark.parametrize("wanted", [ELSEWHERE.key.server_id, ELSEWHERE.name])
async def test_server_of_another_shard_is_404_and_names_that_shard(
    client: httpx.AsyncClient, wanted: str
) -> None:
    response = await client.get("/probe", params={"target": wanted})
    assert response.status_code == 404
    owner = Shard(0, 3).owner(ELSEWHERE.key)
    assert response.text == (
        f"this is shard {OTHER_SHARD} of 3, but shard {owner} probes this server; ask that one\n"
    )


@pytest.mark.parametrize("name", ["id-1", "db-01"])
async def test_server_is_found_by_id_or_name_within_a_project(
    client: httpx.AsyncClient, fake: FakeExporter, name: str
) -> None:
    await client.get("/probe", params={"target": name, "project": "east"})
    assert [target for target, _ in fake.probed] == [TWIN]


@pytest.mark.parametrize(
    ("header", "seconds"), [("10", 9.5), ("0.5", 0.5), ("100000", 120.0), (None, 20.0)]
)
async def test_probe_on_demand_ends_before_the_scrape_timeout(
    client: httpx.AsyncClient, fake: FakeExporter, header: str | None, seconds: float
) -> None:
    headers = {"x-prometheus-scrape-timeout-seconds": header} if header else {}
    await client.get("/probe", params={"target": "id-2"}, headers=headers)
    assert [given for _, given in fake.probed] == [pytest.approx(seconds)]


@pytest.mark.parametrize("header", ["nan", "inf", "-1", "0", "soon"])
async def test_invalid_scrape_timeout_is_rejected(
    client: httpx.AsyncClient, fake: FakeExporter, header: str
) -> None:
    response = await client.get(
        "/probe?target=id-2", headers={"x-prometheus-scrape-timeout-seconds": header}
    )
    assert response.status_code == 400
    assert fake.probed == []


async def test_not_ready_response_gives_the_reason(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    assert (await client.get("/-/ready")).status_code == 200
    fake.unready = "shutting down"
    response = await client.get("/-/ready")
    assert (response.status_code, response.text) == (503, "not ready: shutting down\n")
    assert (await client.get("/-/healthy")).status_code == 200


async def test_failed_reload_lists_every_error(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.reload_error = "config.yaml:1:1: projects: one\nconfig.yaml:2:1: global: two"
    response = await client.post("/-/reload")
    assert (response.status_code, response.text) == (400, fake.reload_error + "\n")
    fake.reload_error = ""
    assert (await client.post("/-/reload")).status_code == 200


async def test_reload_needs_post(client: httpx.AsyncClient) -> None:
    assert (await client.get("/-/reload")).status_code == 405


async def test_page_shows_the_worst_server_first_and_escapes_untrusted_text(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert "<script>" not in response.text
    assert "<b>500</b>" not in response.text
    assert response.text.index("&lt;script&gt;") < response.text.index("db-01")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert (await client.get("/static/status.css")).status_code == 200


async def test_number_of_concurrent_probes_on_demand_is_limited(
    client: httpx.AsyncClient, fake: FakeExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.probe_requests._PROBES_AT_ONCE", 0)
    response = await client.get("/probe?target=id-2")
    assert response.status_code == 503
    assert fake.probed == []


async def test_depth_parameter_sets_the_depth_of_a_probe(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    await client.get("/probe?target=id-2&depth=api")
    assert [target for target, _ in fake.probed] == [replace(WEB, depth=Stage.API)]
