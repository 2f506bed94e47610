"""The list of servers: what it tells, how it is filtered and paged, what it refuses."""

import asyncio
from typing import Any, Protocol

import httpx
import pytest

from exporter.model import Target
from exporter.outcome import Outcome
from exporter.state import StateStore

NOW = 1_800_000_000.0
SERVERS = "/api/v1/servers"


class Pretend(Protocol):
    state: StateStore

    def add(self, server_id: str, *outcomes: Outcome, **more: str) -> Target: ...


async def listed(client: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get(SERVERS, params=query)
    assert answer.status_code == 200, answer.text
    return [one["server_id"] for one in answer.json()["data"]["servers"]]


async def test_a_server_is_told_with_its_state_in_short(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    pretend.add("id-1", Outcome.SUCCESS, Outcome.TIMEOUT, Outcome.SKIPPED, name="db-01", rack="r12")
    answer = await client.get(SERVERS)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["status"] == "success"
    assert answer.json()["data"]["servers"] == [
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


async def test_what_is_not_known_is_null(client: httpx.AsyncClient, pretend: Pretend) -> None:
    pretend.add("id-1")
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


async def test_projects_are_told_with_throttle_and_login(client: httpx.AsyncClient) -> None:
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
async def test_servers_are_filtered_and_come_in_order(
    client: httpx.AsyncClient, pretend: Pretend, query: dict[str, Any], found: list[str]
) -> None:
    pretend.add("d")
    pretend.add("a", Outcome.SUCCESS, name="db-01")
    pretend.add("c", Outcome.SUCCESS, *[Outcome.THROTTLED] * 5, rack="r1")
    pretend.add("b", Outcome.TIMEOUT, Outcome.THROTTLED, project="east", rack="r12")
    assert await listed(client, **query) == found


async def test_pages_walk_over_all_servers_once(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    ids = [f"id-{number:02}" for number in range(7)]
    for server_id in reversed(ids):
        pretend.add(server_id, Outcome.SUCCESS)
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


async def test_a_page_stands_though_the_server_it_starts_after_is_gone(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    pretend.add("b")
    assert await listed(client, after="southwest/a") == ["b"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("projct=east", "unknown parameter 'projct'; there are project, state, q, limit"),
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
        ("x" * 5000 + "=1", "unknown parameter '" + "x" * 64 + "'; there are"),
    ],
)
async def test_what_is_wrong_with_a_query_is_named(
    client: httpx.AsyncClient, query: str, says: str
) -> None:
    answer = await client.get(f"{SERVERS}?{query}")
    assert answer.status_code == 400
    assert (answer.json()["status"], answer.json()["errorType"]) == ("error", "bad_data")
    assert says in answer.json()["error"]
    assert len(answer.content) < 300


async def test_names_from_outside_come_back_as_they_are(
    client: httpx.AsyncClient, pretend: Pretend
) -> None:
    name = '<script>"机房"\\\n\ud800'
    pretend.add("id-1", name=name)
    answer = await client.get(SERVERS)
    assert answer.json()["data"]["servers"][0]["server"] == name
    assert answer.headers["x-content-type-options"] == "nosniff"


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
async def test_paths_and_methods_that_are_not_there_are_json_too(
    client: httpx.AsyncClient, pretend: Pretend, method: str, path: str, status: int
) -> None:
    pretend.add("id-1")
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert "GET /api/v1/openapi.yaml describes every path" in answer.json()["error"]
    assert ("allow" in answer.headers) == (status == 405)


async def test_head_answers_what_get_would(client: httpx.AsyncClient) -> None:
    head, get = await client.head(SERVERS), await client.get(SERVERS)
    assert (head.status_code, head.headers) == (200, get.headers)
    assert (await client.head(f"{SERVERS}?limit=0")).status_code == 400


@pytest.mark.parametrize("form", ["json", "http_sd"])
async def test_all_else_runs_while_a_large_fleet_is_answered(
    client: httpx.AsyncClient, pretend: Pretend, form: str
) -> None:
    target = pretend.add("id")
    pretend.state.reconcile(
        [target, *(with_id(target, f"id-{number:05}") for number in range(4_999))]
    )
    permits = 0

    async def all_else() -> None:
        nonlocal permits
        while True:
            permits += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(all_else())
    answer = await client.get(SERVERS, params={"format": form})
    task.cancel()
    told = answer.json() if form == "http_sd" else answer.json()["data"]["servers"]
    assert len(told) == 5000
    # One turn for every 200 servers looked at, and one for every 50 rendered.
    assert permits >= 5000 / 200 + 5000 / 50


def with_id(target: Target, server_id: str) -> Target:
    return Target(
        target.key._replace(server_id=server_id),
        target.name,
        target.region,
        target.interval,
        target.timeout,
    )
