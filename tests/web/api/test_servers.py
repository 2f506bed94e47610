"""The list of servers: fields, filters, paging, errors."""

import asyncio
from typing import Any

import httpx
import pytest

from exporter.model import Target
from exporter.outcome import Outcome
from tests.web.fake_exporter import NOW, FakeExporter

SERVERS = "/api/v1/servers"


async def listed(client: httpx.AsyncClient, **query: Any) -> list[str]:
    response = await client.get(SERVERS, params=query)
    assert response.status_code == 200, response.text
    return [one["server_id"] for one in response.json()["data"]["servers"]]


async def test_listed_server_has_attributes_and_state(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.add("id-1", Outcome.SUCCESS, Outcome.TIMEOUT, Outcome.SKIPPED, name="db-01", rack="r12")
    response = await client.get(SERVERS)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["status"] == "success"
    assert response.json()["data"]["servers"] == [
        {
            "project": "southwest",
            "server_id": "id-1",
            "server": "db-01",
            "region": "cn-southwest-2",
            "depth": "api",
            "labels": {"rack": "r12"},
            "state": "failing",
            "since": NOW - 70,
            "success": False,
            "outcome": "skipped",
            "verdict": "inconclusive",
            "stage": "api",
            "detail": "it was skipped",
            "duration_seconds": 0.25,
            "last_attempt_at": NOW - 70,
            "last_verdict_at": NOW - 70,
            "last_success_at": NOW - 130,
            "consecutive_failures": 1,
        }
    ]


async def test_unknown_values_are_null(client: httpx.AsyncClient, fake: FakeExporter) -> None:
    fake.add("id-1")
    (server,) = (await client.get(SERVERS)).json()["data"]["servers"]
    assert server["state"] == "unknown"
    assert {name for name, value in server.items() if value is None} == {
        "since",
        "success",
        "outcome",
        "verdict",
        "stage",
        "detail",
        "duration_seconds",
        "last_attempt_at",
        "last_verdict_at",
        "last_success_at",
    }


async def test_projects_are_listed_with_throttle_and_login(client: httpx.AsyncClient) -> None:
    data = (await client.get(SERVERS)).json()["data"]
    assert data["projects"] == [
        {
            "project": "southwest",
            "region": "cn-southwest-2",
            "limit": 2.5,
            "ceiling": 5.0,
            "queue_length": 3,
            "resume_at": NOW - 60,
            "login_expires_at": NOW + 3600,
        },
        {
            "project": "east",
            "region": "cn-east-3",
            "limit": 5.0,
            "ceiling": 5.0,
            "queue_length": 0,
            "resume_at": None,
            "login_expires_at": None,
        },
    ]
    assert (data["servers"], data["total"], data["next"]) == ([], 0, None)
    only = (await client.get(SERVERS, params={"project": "east"})).json()["data"]
    assert [one["project"] for one in only["projects"]] == ["east"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["b", "a", "c", "d"]),
        ({"project": "southwest"}, ["a", "c", "d"]),
        ({"project": ["southwest", "east"]}, ["b", "a", "c", "d"]),
        ({"project": "north"}, []),
        ({"state": "failing"}, ["b"]),
        ({"state": ["failing", "unknown"]}, ["b", "d"]),
        ({"state": "stale"}, ["c"]),
        ({"q": "DB"}, ["a"]),
        ({"q": "R1"}, ["b", "c"]),
        ({"q": "é"}, []),
        ({"q": "", "after": ""}, ["b", "a", "c", "d"]),
        ({"q": "r1", "state": "failing", "project": "southwest"}, []),
        ({"limit": "2"}, ["b", "a"]),
        ({"limit": "10000", "after": "southwest/a"}, ["c", "d"]),
        ({"after": "southwest/b"}, ["c", "d"]),
        ({"after": "southwest/d"}, []),
    ],
)
async def test_servers_are_filtered_and_sorted(
    client: httpx.AsyncClient, fake: FakeExporter, query: dict[str, Any], found: list[str]
) -> None:
    fake.add("d")
    fake.add("a", Outcome.SUCCESS, name="db-01")
    fake.add("c", Outcome.SUCCESS, *[Outcome.THROTTLED] * 5, rack="r1")
    fake.add("b", Outcome.TIMEOUT, Outcome.THROTTLED, project="east", rack="r12")
    assert await listed(client, **query) == found


async def test_paging_returns_every_server_once(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    ids = [f"id-{number:02}" for number in range(7)]
    for server_id in reversed(ids):
        fake.add(server_id, Outcome.SUCCESS)
    seen: list[str] = []
    after: str | None = ""
    pages = 0
    while after is not None:
        query = {"limit": "3", "after": after, "state": "working"}
        data = (await client.get(SERVERS, params=query)).json()["data"]
        assert data["total"] == 7
        seen += [one["server_id"] for one in data["servers"]]
        after, pages = data["next"], pages + 1
    assert (seen, pages) == (ids, 3)


async def test_paging_continues_after_a_removed_server(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    fake.add("b")
    assert await listed(client, after="southwest/a") == ["b"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("projct=east", "unknown parameter 'projct'; supported are project, state, q, limit"),
        ("state=broken", "parameter state must be one of failing, stale, unknown, working"),
        ("state=failing&state=", "parameter state must be one of"),
        ("format=xml", "parameter format must be one of json, http_sd"),
        ("limit=0", "parameter limit must be a whole number from 1 to 10000"),
        ("limit=10001", "parameter limit must be"),
        ("limit=-1", "parameter limit must be"),
        ("limit=ten", "parameter limit must be"),
        ("limit=%D9%A1", "parameter limit must be"),
        ("limit=", "parameter limit must be"),
        ("limit=" + "9" * 256, "parameter limit must be"),
        ("limit=1&limit=2", "parameter limit is given more than once"),
        ("q=a&q=b", "parameter q is given more than once"),
        ("q=" + "x" * 257, "parameter q is longer than 256 characters"),
        ("project=" + "x" * 257, "parameter project is longer than 256 characters"),
        ("x" * 5000 + "=1", "unknown parameter '" + "x" * 64 + "'; supported are"),
    ],
)
async def test_invalid_query_is_rejected_with_the_reason(
    client: httpx.AsyncClient, query: str, says: str
) -> None:
    response = await client.get(f"{SERVERS}?{query}")
    assert response.status_code == 400
    assert (response.json()["status"], response.json()["errorType"]) == ("error", "bad_data")
    assert says in response.json()["error"]
    assert len(response.content) < 300


async def test_untrusted_names_are_returned_unchanged(
    client: httpx.AsyncClient, fake: FakeExporter
) -> None:
    name = '<script>"机房"\\\n\ud800'
    fake.add("id-1", name=name)
    response = await client.get(SERVERS)
    assert response.json()["data"]["servers"][0]["server"] == name
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", f"{SERVERS}/", 404),
        ("GET", f"{SERVERS}/southwest", 404),
        ("POST", SERVERS, 405),
        ("DELETE", f"{SERVERS}/southwest/id-1", 405),
        ("GET", f"{SERVERS}/southwest/id-1/probe", 405),
    ],
)
async def test_unknown_paths_and_methods_are_json_errors(
    client: httpx.AsyncClient, fake: FakeExporter, method: str, path: str, status: int
) -> None:
    fake.add("id-1")
    response = await client.request(method, path)
    assert response.status_code == status
    assert "GET /api/v1/openapi.yaml describes every path" in response.json()["error"]
    assert ("allow" in response.headers) == (status == 405)


async def test_head_matches_get(client: httpx.AsyncClient) -> None:
    head, get = await client.head(SERVERS), await client.get(SERVERS)
    assert (head.status_code, head.headers) == (200, get.headers)
    assert (await client.head(f"{SERVERS}?limit=0")).status_code == 400


@pytest.mark.parametrize("form", ["json", "http_sd"])
async def test_event_loop_runs_while_a_large_fleet_is_rendered(
    client: httpx.AsyncClient, fake: FakeExporter, form: str
) -> None:
    target = fake.add("id")
    fake.state.reconcile([target, *(with_id(target, f"id-{number:05}") for number in range(4_999))])
    iterations = 0

    async def other_task() -> None:
        nonlocal iterations
        while True:
            iterations += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other_task())
    response = await client.get(SERVERS, params={"format": form})
    task.cancel()
    listed = response.json() if form == "http_sd" else response.json()["data"]["servers"]
    assert len(listed) == 5000
    # One iteration per 200 servers filtered, and one per 50 rendered.
    assert iterations >= 5000 / 200 + 5000 / 50


def with_id(target: Target, server_id: str) -> Target:
    return Target(
        target.key._replace(server_id=server_id),
        target.name,
        target.region,
        target.interval,
        target.timeout,
    )
