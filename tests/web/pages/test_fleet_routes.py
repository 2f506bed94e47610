"""The fleet page and its changes over HTTP."""

import asyncio
import re
from collections.abc import AsyncIterator
from time import thread_time

import httpx
import pytest

from exporter.model import ProjectStatus
from exporter.outcome import Outcome
from tests.web.fake_exporter import HOSTILE, NOW, FakeExporter, target

DB, WEB = target("db-01", labels=(("rack", "r12"),)), target("web-01")
EAST = target("cache-01", "east")
QUIET = ProjectStatus("southwest", "cn-southwest-2", 5.0, 5.0, 0)


@pytest.fixture
def fleet() -> FakeExporter:
    return FakeExporter(statuses=[QUIET, ProjectStatus("east", "cn-east-3", 2.0, 2.0, 0)])


@pytest.fixture
async def client(fleet: FakeExporter) -> AsyncIterator[httpx.AsyncClient]:
    fleet.state.reconcile([DB, WEB, EAST])
    async with fleet.client() as client:
        yield client


def order(html: str) -> list[tuple[str, str]]:
    """Return projects and servers in the order of the page."""
    return re.findall(r'data-project="([^"]*)"|<a href="servers/[^>]*>([^<]*)', html)


async def test_worst_projects_and_servers_are_first(
    fleet: FakeExporter, client: httpx.AsyncClient
) -> None:
    fleet.record(DB, Outcome.SUCCESS)
    fleet.record(WEB, Outcome.SUCCESS)
    fleet.record(EAST, Outcome.TIMEOUT)
    html = (await client.get("/")).text
    assert order(html) == [
        ("east", ""), ("", "cache-01"), ("southwest", ""), ("", "db-01"), ("", "web-01")
    ]  # fmt: skip
    fleet.record(WEB, Outcome.NOT_FOUND)
    assert order((await client.get("/")).text)[:2] == [("southwest", ""), ("", "web-01")]


async def test_project_without_servers_is_shown(
    fleet: FakeExporter, client: httpx.AsyncClient
) -> None:
    fleet.statuses.append(ProjectStatus("empty", "cn-north-1", 1.0, 1.0, 0))
    html = (await client.get("/")).text
    assert "cn-north-1" in html
    assert "This project has no servers" in html


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "DB"}, ["db-01"]),
        ({"q": "rack=r12"}, ["db-01"]),
        ({"q": "southwest 01"}, ["db-01", "web-01"]),
        ({"q": "timeout"}, ["web-01"]),
        ({"q": "", "state": ""}, ["web-01", "cache-01", "db-01"]),
        ({"state": "failing"}, ["web-01"]),
        ({"state": "inconclusive"}, ["db-01"]),
        ({"q": "nothing"}, []),
    ],
)
async def test_filter_in_the_query_selects_servers(
    fleet: FakeExporter, client: httpx.AsyncClient, query: dict[str, str], names: list[str]
) -> None:
    fleet.record(DB, Outcome.SUCCESS, Outcome.THROTTLED)
    fleet.record(WEB, Outcome.TIMEOUT)
    html = (await client.get("/", params=query)).text
    assert sorted(name for _, name in order(html) if name) == sorted(names)


@pytest.mark.parametrize("query", [{"state": "red"}, {"q": "x" * 257}])
async def test_invalid_filter_is_rejected(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    response = await client.get("/", params=query)
    assert response.status_code == 400
    assert f"parameter {next(iter(query))}" in response.text


async def test_untrusted_text_is_escaped(fleet: FakeExporter, client: httpx.AsyncClient) -> None:
    hostile = target(HOSTILE, HOSTILE.replace("/", ""), labels=(("x", HOSTILE),))
    fleet.state.reconcile([hostile])
    fleet.statuses.append(ProjectStatus(hostile.key.project, HOSTILE, 1.0, 1.0, 0))
    fleet.record(hostile, Outcome.UNAUTHORIZED, detail=HOSTILE)
    html = (await client.get("/", params={"q": HOSTILE})).text
    assert "alert(1)" in html
    assert "<script>" not in html
    assert not re.findall(r"<[^>]*\s(?:style|on\w+)=", html)


async def test_lone_surrogate_is_replaced(fleet: FakeExporter, client: httpx.AsyncClient) -> None:
    strange = target("a\ud800b")
    fleet.state.reconcile([strange])
    fleet.record(strange, Outcome.TIMEOUT)
    run_id = (await client.get("/fleet/changes")).json()["revision"].partition(".")[0]
    for path in ("/", "/servers/southwest/a_b", f"/fleet/changes?since={run_id}.0"):
        assert (await client.get(path)).status_code == 200


async def test_changes_since_a_revision_are_returned(
    fleet: FakeExporter, client: httpx.AsyncClient
) -> None:
    html = (await client.get("/")).text
    (revision,) = re.findall(r'data-revision="([^"]+)"', html)
    fleet.record(WEB, Outcome.TIMEOUT)
    fleet.now += 2
    changes = (await client.get("/fleet/changes", params={"since": revision})).json()
    assert changes["now"] == NOW + 2
    assert changes["cells"] == [
        {
            "href": "servers/southwest/web-01",
            "project": "southwest",
            "name": "web-01",
            "labels": "",
            "health_state": "failing",
            "note": "timeout at api",
            "doubt": "",
        }
    ]
    assert [one["project"] for one in changes["projects"]] == ["southwest", "east"]
    query = {"since": changes["revision"], "words": changes["words"]}
    again = (await client.get("/fleet/changes", params=query)).json()
    assert (again["cells"], again["projects"], again["reset"]) == ([], [], False)


async def test_pages_are_not_cached(client: httpx.AsyncClient) -> None:
    for path in ("/", "/fleet/changes", "/servers/southwest/db-01"):
        assert (await client.get(path)).headers["cache-control"] == "no-cache"


async def test_static_files_exist_and_are_cached_forever(
    client: httpx.AsyncClient,
) -> None:
    for page in ("/", "/servers/southwest/db-01"):
        html = (await client.get(page)).text
        addresses = re.findall(r'"([./]*static/[^"]+)"', html)
        assert len(set(addresses)) == 4
        for address in addresses:
            response = await client.get(httpx.URL(f"http://exporter{page}").join(address))
            assert response.status_code == 200
            assert "immutable" in response.headers["cache-control"]
            other = await client.get(response.url.copy_set_param("v", "of-another-version"))
            assert other.headers["cache-control"] == "no-cache"
    assert (await client.get("/static/routes.py")).status_code == 404
    assert (await client.get("/favicon.ico")).headers["content-type"] == "image/svg+xml"


async def test_every_link_is_relative(client: httpx.AsyncClient) -> None:
    for page in ("/", "/servers/southwest/db-01", "/servers/southwest/nobody"):
        html = (await client.get(page)).text
        links = re.findall(r'\s(?:href|src|action)="([^"]*)"', html)
        assert links
        assert not [link for link in links if link.startswith("/") or ":" in link]


async def test_security_policy_allows_only_own_files_and_nothing_inline(
    client: httpx.AsyncClient,
) -> None:
    policy = (await client.get("/")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for page in ("/", "/servers/southwest/db-01"):
        html = (await client.get(page)).text
        assert not re.findall(r"\sstyle=|<style|<script(?![^>]*\ssrc=)", html)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("query", [{}, {"q": "server-00"}, {"q": "matches nothing"}])
async def test_large_fleet_does_not_block_the_event_loop(query: dict[str, str]) -> None:
    fleet = FakeExporter(statuses=[QUIET])
    servers = [target(f"server-{number:05d}") for number in range(10_000)]
    fleet.state.reconcile(servers)
    async with fleet.client() as client:
        asking = asyncio.create_task(client.get("/", params=query))
        stretches = []
        while not asking.done():
            began = thread_time()
            await asyncio.sleep(0)
            stretches.append(thread_time() - began)
        assert (await asking).status_code == 200
    # Measured as CPU time of the thread, independent of other load on the machine.
    assert max(stretches) < 0.025
