"""One server: all that is known of it, and one probe now."""

from typing import Protocol
from urllib.parse import quote

import httpx
import pytest

from exporter.model import Stage, Target
from exporter.outcome import Outcome
from exporter.state import StateStore

NOW = 1_800_000_000.0
FAIL, GOOD, BUSY = Outcome.SERVER_ERROR, Outcome.SUCCESS, Outcome.THROTTLED
SERVER = "/api/v1/servers/southwest/id-1"


class Pretend(Protocol):
    state: StateStore
    outcome: Outcome
    asked: list[tuple[Target, float]]

    def add(self, server_id: str, *outcomes: Outcome, **more: str) -> Target: ...


async def test_all_that_is_known_is_told(client: httpx.AsyncClient, pretend: Pretend) -> None:
    pretend.add("id-1", GOOD, FAIL, BUSY, name="db-01", rack="r12")
    answer = await client.get(SERVER)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    told = answer.json()["data"]
    in_short = (await client.get("/api/v1/servers")).json()["data"]["servers"][0]
    assert {name: told.pop(name) for name in in_short} == in_short
    history = told.pop("history")
    assert [one["outcome"] for one in history] == ["throttled", "server_error", "success"]
    assert told == {
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
        # Though only three results are kept.
        ([GOOD, FAIL, FAIL, FAIL], "failing", NOW - 130),
        ([GOOD, BUSY, BUSY, BUSY], "working", NOW - 190),
        # Its last verdict is not believed from five intervals after it.
        ([GOOD, *[BUSY] * 6], "stale", NOW - 70),
    ],
)
async def test_a_state_stands_since_the_first_probe_that_gave_it(
    client: httpx.AsyncClient,
    pretend: Pretend,
    outcomes: list[Outcome],
    state: str,
    since: float | None,
) -> None:
    pretend.add("id-1", *outcomes)
    told = (await client.get(SERVER)).json()["data"]
    assert (told["state"], told["since"]) == (state, since)


async def test_a_server_never_probed_has_no_last_probe(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    pretend.add("id-1")
    told = (await client.get(SERVER)).json()["data"]
    assert (told["last"], told["history"]) == (None, [])


async def test_a_server_is_told_whole_and_nothing_can_be_chosen(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    pretend.add("id-1")
    answer = await client.get(f"{SERVER}?limit=1")
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        "unknown parameter 'limit'; there are none here",
    )


@pytest.mark.parametrize("name", ["prod & test", "机房", "a?b#c", "100%"])
async def test_a_project_may_have_any_name(
    client: httpx.AsyncClient, pretend: Pretend, name: str
) -> None:
    pretend.add("id-1", project=name)
    path = f"/api/v1/servers/{quote(name, safe='')}/id-1"
    assert (await client.get(path)).json()["data"]["project"] == name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/servers/southwest/id-2"),
        ("GET", "/api/v1/servers/east/id-1"),
        # By its name it is found with ?q=, not here.
        ("GET", "/api/v1/servers/southwest/db-01"),
        ("POST", "/api/v1/servers/southwest/169.254.169.254/probe"),
    ],
)
async def test_only_a_configured_server_is_told_or_probed(
    client: httpx.AsyncClient, pretend: Pretend, method: str, path: str
) -> None:
    pretend.add("id-1", name="db-01")
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["errorType"]) == (404, "not_found")
    assert "GET /api/v1/servers lists" in answer.json()["error"]
    assert pretend.asked == []


async def test_a_probe_now_is_told_and_not_recorded(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    target = pretend.add("id-1", GOOD)
    pretend.outcome = Outcome.TIMEOUT
    answer = await client.post(f"{SERVER}/probe")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    told = answer.json()["data"]
    assert (told["outcome"], told["started_at"]) == ("timeout", NOW)
    assert pretend.asked == [(target, 20.0)]
    after = (await client.get(SERVER)).json()["data"]
    assert (after["state"], len(after["history"])) == ("working", 1)


async def test_depth_and_patience_of_a_probe_now_can_be_chosen(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    pretend.add("id-1")
    timeout = {"X-Prometheus-Scrape-Timeout-Seconds": "5"}
    await client.post(f"{SERVER}/probe?depth=rfb", headers=timeout)
    assert [(target.depth, patience) for target, patience in pretend.asked] == [(Stage.RFB, 4.5)]


@pytest.mark.parametrize(
    ("query", "seconds", "says"),
    [
        ("?depht=rfb", "5", "unknown parameter 'depht'; there are depth"),
        ("?depth=everything", "5", "parameter depth must be one of api, page"),
        ("", "nan", "must be a number of seconds above 0"),
    ],
)
async def test_a_probe_now_refuses_nonsense(
    client: httpx.AsyncClient, pretend: Pretend, query: str, seconds: str, says: str
) -> None:
    pretend.add("id-1")
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": seconds}
    answer = await client.post(f"{SERVER}/probe{query}", headers=headers)
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
    assert says in answer.json()["error"]
    assert pretend.asked == []


async def test_probes_now_are_bounded(
    client: httpx.AsyncClient, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend.add("id-1")
    monkeypatch.setattr("exporter.web.probe_requests._PROBES_AT_ONCE", 0)
    answer = await client.post(f"{SERVER}/probe")
    assert (answer.status_code, answer.json()["errorType"]) == (503, "unavailable")
    assert "ask again later" in answer.json()["error"]
    assert pretend.asked == []
