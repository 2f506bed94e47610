"""The API of one server, and probes on demand."""

from urllib.parse import quote

import httpx
import pytest

from exporter.model import Stage
from exporter.outcome import Outcome
from tests.web.fake_exporter import NOW, FakeExporter

FAIL, GOOD, BUSY = Outcome.SERVER_ERROR, Outcome.SUCCESS, Outcome.THROTTLED
SERVER = "/api/v1/servers/southwest/id-1"


async def test_server_has_all_fields_and_its_history(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.add("id-1", GOOD, FAIL, BUSY, name="db-01", rack="r12")
    response = await client.get(SERVER)
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    data = response.json()["data"]
    listed = (await client.get("/api/v1/servers")).json()["data"]["servers"][0]
    assert {name: data.pop(name) for name in listed} == listed
    history = data.pop("history")
    assert [one["outcome"] for one in history] == ["throttled", "server_error", "success"]
    assert data == {
        "interval_seconds": 60.0,
        "timeout_seconds": 10.0,
        "verdicts": 2,
        "failures": 1,
        "throttled": 1,
        "last": history[0],
    }
    assert history[1] == {
        "project": "southwest",
        "server_id": "id-1",
        "server": "db-01",
        "started_at": NOW - 70,
        "outcome": "server_error",
        "verdict": "failure",
        "stage": "api",
        "status_code": 500,
        "error_code": "",
        "request_id": "",
        "duration_seconds": 0.25,
        "waited_seconds": 0.0,
        "stages": [{"stage": "api", "duration_seconds": 0.25, "passed": False, "note": ""}],
        "detail": "it was server_error",
    }


@pytest.mark.parametrize(
    ("outcomes", "state", "since"),
    [
        ([], "unknown", None),
        ([BUSY], "unknown", None),
        ([GOOD], "working", NOW - 10),
        ([GOOD, BUSY], "working", NOW - 70),
        ([FAIL, GOOD, GOOD], "working", NOW - 70),
        ([GOOD, FAIL, FAIL], "failing", NOW - 70),
        ([FAIL, BUSY, FAIL], "failing", NOW - 130),
        # Although the history holds only three results.
        ([GOOD, FAIL, FAIL, FAIL], "failing", NOW - 130),
        ([GOOD, BUSY, BUSY, BUSY], "working", NOW - 190),
        # The last verdict is stale after five intervals.
        ([GOOD, *[BUSY] * 6], "stale", NOW - 70),
    ],
)
async def test_since_is_the_start_of_the_current_state(
    client: httpx.AsyncClient,
    fake: FakeExporter,
    outcomes: list[Outcome],
    state: str,
    since: float | None,
) -> None:
    fake.add("id-1", *outcomes)
    data = (await client.get(SERVER)).json()["data"]
    assert (data["state"], data["since"]) == (state, since)


async def test_unprobed_server_has_no_last_probe(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.add("id-1")
    data = (await client.get(SERVER)).json()["data"]
    assert (data["last"], data["history"]) == (None, [])


async def test_server_rejects_query_parameters(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.add("id-1")
    response = await client.get(f"{SERVER}?limit=1")
    assert (response.status_code, response.json()["error"]) == (
        400,
        "unknown parameter 'limit'; this path supports none",
    )


@pytest.mark.parametrize("name", ["prod & test", "机房", "a?b#c", "100%"])
async def test_project_may_have_any_name(
    client: httpx.AsyncClient, fake: FakeExporter, name: str
) -> None:
    fake.add("id-1", project=name)
    path = f"/api/v1/servers/{quote(name, safe='')}/id-1"
    assert (await client.get(path)).json()["data"]["project"] == name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/servers/southwest/id-2"),
        ("GET", "/api/v1/servers/east/id-1"),
        # Names are not ids; ?q= finds them.
        ("GET", "/api/v1/servers/southwest/db-01"),
        ("POST", "/api/v1/servers/southwest/169.254.169.254/probe"),
    ],
)
async def test_unknown_server_is_404(
    client: httpx.AsyncClient, fake: FakeExporter, method: str, path: str
) -> None:
    fake.add("id-1", name="db-01")
    response = await client.request(method, path)
    assert (response.status_code, response.json()["errorType"]) == (404, "not_found")
    assert "GET /api/v1/servers lists" in response.json()["error"]
    assert fake.probed == []


async def test_probe_on_demand_is_returned_and_not_recorded(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    target = fake.add("id-1", GOOD)
    fake.outcome = Outcome.TIMEOUT
    response = await client.post(f"{SERVER}/probe")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    data = response.json()["data"]
    assert (data["outcome"], data["started_at"]) == ("timeout", NOW)
    assert fake.probed == [(target, 20.0)]
    after = (await client.get(SERVER)).json()["data"]
    assert (after["state"], len(after["history"])) == ("working", 1)


async def test_depth_and_timeout_of_a_probe_on_demand_can_be_set(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.add("id-1")
    timeout = {"X-Prometheus-Scrape-Timeout-Seconds": "5"}
    await client.post(f"{SERVER}/probe?depth=rfb", headers=timeout)
    assert [(target.depth, seconds) for target, seconds in fake.probed] == [(Stage.RFB, 4.5)]


@pytest.mark.parametrize(
    ("query", "seconds", "says"),
    [
        ("?depht=rfb", "5", "unknown parameter 'depht'; supported are depth"),
        ("?depth=everything", "5", "parameter depth must be one of api, page"),
        ("", "nan", "must be a number of seconds above 0"),
    ],
)
async def test_probe_on_demand_rejects_invalid_parameters(
    client: httpx.AsyncClient, fake: FakeExporter, query: str, seconds: str, says: str
) -> None:
    fake.add("id-1")
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": seconds}
    response = await client.post(f"{SERVER}/probe{query}", headers=headers)
    assert (response.status_code, response.json()["errorType"]) == (400, "bad_data")
    assert says in response.json()["error"]
    assert fake.probed == []


async def test_number_of_concurrent_probes_is_limited(
    client: httpx.AsyncClient, fake: FakeExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("id-1")
    monkeypatch.setattr("exporter.web.probe_requests._PROBES_AT_ONCE", 0)
    response = await client.post(f"{SERVER}/probe")
    assert (response.status_code, response.json()["errorType"]) == (503, "unavailable")
    assert "try again later" in response.json()["error"]
    assert fake.probed == []
