"""The routes: what they answer, and what they refuse."""

import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.metrics.exposition import Exposition
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome
from exporter.state import StateStore
from exporter.targets.sharding import Shard
from exporter.web.application import web_application
from exporter.web.exporter_view import ExporterView, ReloadRefusedError

NOW = 1_800_000_000.0
DB = Target(TargetKey("southwest", "id-1"), "db-01", "cn-southwest-2", 60.0, 10.0)
WEB = Target(TargetKey("southwest", "id-2"), "<script>alert(1)</script>", "r", 60.0, 10.0)
ELSEWHERE = Target(TargetKey("southwest", "id-9"), "db-09", "cn-southwest-2", 60.0, 10.0)
OTHER_SHARD = (Shard(0, 3).owner(ELSEWHERE.key) + 1) % 3
TWIN = Target(TargetKey("east", "id-1"), "db-01", "cn-east-3", 60.0, 10.0)


@dataclass
class Pretend:
    """A running program that answers as a test wants."""

    outcome: Outcome = Outcome.SUCCESS
    details: str = ""
    unready: str | None = None
    asked: list[tuple[Target, float]] = field(default_factory=list)
    scrapes: list[float] = field(default_factory=list)

    async def probe_now(self, target: Target, patience: float) -> ProbeResult:
        self.asked.append((target, patience))
        return result(target, self.outcome)

    async def reload(self) -> None:
        if self.details:
            raise ReloadRefusedError(self.details)


def result(target: Target, outcome: Outcome) -> ProbeResult:
    passed = outcome is Outcome.SUCCESS
    return ProbeResult(
        target,
        NOW,
        outcome,
        None if passed else Stage.API,
        200 if passed else 500,
        stages=(StageTiming(Stage.API, 0.25, passed),),
        detail="" if passed else "the API answered <b>500</b>",
    )


@pytest.fixture
def pretend() -> Pretend:
    return Pretend()


@pytest.fixture
async def client(pretend: Pretend) -> AsyncIterator[httpx.AsyncClient]:
    state = StateStore(history_length=3)
    series = ServerSeries()
    state.listen(series)
    state.reconcile([DB, WEB, TWIN])
    state.record(result(DB, Outcome.SUCCESS))
    state.record(result(WEB, Outcome.SERVER_ERROR))
    exposition = Exposition(series, CollectorRegistry())
    application = web_application(
        ExporterView(
            state=state,
            projects=list,
            exposition=exposition,
            scraped=pretend.scrapes.append,
            config_yaml=lambda: "projects: []\n",
            not_ready=lambda: pretend.unready,
            incomplete=lambda: None,
            reload=pretend.reload,
            probe_now=pretend.probe_now,
            clock_time=lambda: NOW + 5,
            version="1.2.3",
            shard=Shard(OTHER_SHARD, 3),
            elsewhere=lambda: [ELSEWHERE],
        )
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://exporter"
    ) as client:
        yield client


async def test_metrics_come_as_text_unless_openmetrics_is_preferred(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    plain = await client.get("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {family.name for family in text_families(plain.text)} >= {"console_probe_success"}
    accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.3"
    other = await client.get("/metrics", headers={"accept": accept})
    assert other.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = openmetrics(other.text)  # type: ignore[no-untyped-call]
    assert {family.name for family in families} >= {"console_probe_success"}
    assert len(pretend.scrapes) == 2


async def test_metrics_are_answered_at_their_own_path_without_a_redirect(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/metrics")).status_code == 200


async def test_metrics_are_compressed_only_for_who_takes_gzip(client: httpx.AsyncClient) -> None:
    refusing = await client.get("/metrics", headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refusing.headers
    async with client.stream("GET", "/metrics", headers={"accept-encoding": "gzip"}) as taking:
        raw = b"".join([piece async for piece in taking.aiter_raw()])
    assert taking.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == refusing.content


async def test_names_restrict_the_families(client: httpx.AsyncClient) -> None:
    answer = await client.get(
        "/metrics", params={"name[]": ["console_probe_success", "console_server_info"]}
    )
    assert {family.name for family in text_families(answer.text)} == {
        "console_probe_success",
        "console_server_info",
    }


async def test_a_probe_on_demand_answers_its_own_metrics_alone(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    pretend.outcome = Outcome.SERVER_ERROR
    answer = await client.get("/probe", params={"target": "id-2"})
    samples = [s for family in text_families(answer.text) for s in family.samples]
    assert {sample.labels["server_id"] for sample in samples} == {"id-2"}
    assert [s.value for s in samples if s.name == "console_probe_success"] == [0.0]


async def test_an_inconclusive_probe_on_demand_claims_neither_success_nor_failure(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    pretend.outcome = Outcome.THROTTLED
    answer = await client.get("/probe", params={"target": "id-2"})
    names = {s.name for family in text_families(answer.text) for s in family.samples}
    assert "console_probe_success" not in names
    assert "console_probe_outcome" in names


async def test_a_probe_on_demand_can_be_told_in_full(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe", params={"target": "id-2", "debug": "true"})
    assert "250.0 ms" in answer.text
    assert '"outcome": "success"' in answer.text
    assert "console_probe_success{" in answer.text


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 400, "target is missing"),
        ("target=unknown", 404, "no configured server"),
        ("target=169.254.169.254", 404, "no configured server"),
        ("target=id-1", 400, "name the project, one of east, southwest"),
        ("target=db-01", 400, "name the project, one of east, southwest"),
        ("target=id-1&project=north", 404, "no configured server"),
        ("target=id-2&depth=everything", 400, "depth must be one of api"),
    ],
)
async def test_only_a_configured_server_can_be_probed(
    client: httpx.AsyncClient, pretend: Pretend, query: str, status: int, says: str
) -> None:
    answer = await client.get(f"/probe?{query}")
    assert (answer.status_code, says in answer.text) == (status, True)
    assert pretend.asked == []


@pytest.mark.parametrize("wanted", [ELSEWHERE.key.server_id, ELSEWHERE.name])
async def test_a_server_of_another_shard_is_not_probed_here_and_the_answer_says_where(
    client: httpx.AsyncClient, wanted: str
) -> None:
    answer = await client.get("/probe", params={"target": wanted})
    assert answer.status_code == 404
    owner = Shard(0, 3).owner(ELSEWHERE.key)
    assert answer.text == (
        f"this is shard {OTHER_SHARD} of 3, and shard {owner} probes this server: ask there\n"
    )


@pytest.mark.parametrize("name", ["id-1", "db-01"])
async def test_a_server_is_found_by_id_or_name_within_a_project(
    client: httpx.AsyncClient, pretend: Pretend, name: str
) -> None:
    await client.get("/probe", params={"target": name, "project": "east"})
    assert [target for target, _ in pretend.asked] == [TWIN]


@pytest.mark.parametrize(
    ("header", "patience"), [("10", 9.5), ("0.5", 0.5), ("100000", 120.0), (None, 20.0)]
)
async def test_a_probe_on_demand_ends_before_prometheus_gives_up(
    client: httpx.AsyncClient, pretend: Pretend, header: str | None, patience: float
) -> None:
    headers = {"x-prometheus-scrape-timeout-seconds": header} if header else {}
    await client.get("/probe", params={"target": "id-2"}, headers=headers)
    assert [seconds for _, seconds in pretend.asked] == [pytest.approx(patience)]


@pytest.mark.parametrize("header", ["nan", "inf", "-1", "0", "soon"])
async def test_a_nonsense_scrape_timeout_is_refused(
    client: httpx.AsyncClient, pretend: Pretend, header: str
) -> None:
    answer = await client.get(
        "/probe?target=id-2", headers={"x-prometheus-scrape-timeout-seconds": header}
    )
    assert answer.status_code == 400
    assert pretend.asked == []


async def test_readiness_gives_its_reason(client: httpx.AsyncClient, pretend: Pretend) -> None:
    assert (await client.get("/-/ready")).status_code == 200
    pretend.unready = "shutting down"
    answer = await client.get("/-/ready")
    assert (answer.status_code, answer.text) == (503, "not ready: shutting down\n")
    assert (await client.get("/-/healthy")).status_code == 200


async def test_a_refused_reload_lists_every_mistake(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    pretend.details = "config.yaml:1:1: projects: one\nconfig.yaml:2:1: global: two"
    answer = await client.post("/-/reload")
    assert (answer.status_code, answer.text) == (400, pretend.details + "\n")
    pretend.details = ""
    assert (await client.post("/-/reload")).status_code == 200


async def test_a_reload_is_not_had_by_following_a_link(client: httpx.AsyncClient) -> None:
    assert (await client.get("/-/reload")).status_code == 405


async def test_the_page_shows_the_worst_first_and_escapes_what_comes_from_outside(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script>" not in answer.text
    assert "<b>500</b>" not in answer.text
    assert answer.text.index("&lt;script&gt;") < answer.text.index("db-01")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (await client.get("/static/status.css")).status_code == 200


async def test_probes_on_demand_at_once_are_bounded(
    client: httpx.AsyncClient, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.probe_requests._PROBES_AT_ONCE", 0)
    answer = await client.get("/probe?target=id-2")
    assert answer.status_code == 503
    assert pretend.asked == []


async def test_the_depth_of_a_probe_on_demand_can_be_chosen(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    await client.get("/probe?target=id-2&depth=api")
    assert [target for target, _ in pretend.asked] == [replace(WEB, depth=Stage.API)]
