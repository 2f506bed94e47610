"""A server's page over HTTP, within one process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from exporter.outcome import Outcome
from tests.web.pages.fleet_in_memory import HOSTILE, NOW, InMemory, target

DB = target("db-01", labels=(("rack", "r12"),))
PATH = "/servers/southwest/db-01"


@pytest.fixture
def fleet() -> InMemory:
    return InMemory()


@pytest.fixture
async def client(fleet: InMemory) -> AsyncIterator[httpx.AsyncClient]:
    fleet.state.reconcile([DB])
    async with fleet.client() as client:
        yield client


async def test_a_server_never_probed_is_unknown(client: httpx.AsyncClient) -> None:
    html = (await client.get(PATH)).text
    assert 'class="state unknown"' in html
    assert "It has not been probed yet." in html


async def test_since_when_is_the_first_verdict_of_its_kind(
    fleet: InMemory, client: httpx.AsyncClient
) -> None:
    fleet.record(DB, Outcome.SUCCESS)
    for outcome in (Outcome.TIMEOUT, Outcome.THROTTLED, Outcome.TIMEOUT):
        fleet.now += 60
        fleet.record(DB, outcome)
    html = (await client.get(PATH)).text
    assert 'class="state failing"' in html
    assert f'since 08:01:00 UTC <span class="ago" data-at="{NOW + 60}"' in html
    assert "Timeout at api, 2 times in a row" in html


async def test_since_when_is_known_for_longer_than_results_are_kept(
    fleet: InMemory, client: httpx.AsyncClient
) -> None:
    began = fleet.now
    for _ in range(10):
        fleet.record(DB, Outcome.SUCCESS)
        fleet.now += 60
    assert f'data-at="{began}"' in (await client.get(PATH)).text


async def test_an_inconclusive_probe_leaves_the_verdict_and_is_told(
    fleet: InMemory, client: httpx.AsyncClient
) -> None:
    fleet.record(DB, Outcome.SUCCESS)
    fleet.record(DB, Outcome.UNAUTHORIZED, detail="IAM answered 401")
    html = (await client.get(PATH)).text
    assert 'class="state working"' in html
    assert "could not tell: unauthorized, IAM answered 401. The verdict before it stands." in html


async def test_a_verdict_too_old_is_stale_and_told(
    fleet: InMemory, client: httpx.AsyncClient
) -> None:
    fleet.record(DB, Outcome.TIMEOUT)
    fleet.now += 301
    html = (await client.get(PATH)).text
    assert 'class="state stale"' in html
    assert "No verdict for more than 5 intervals. The last one: failing." in html


async def test_an_unchanged_page_is_not_sent_again(
    fleet: InMemory, client: httpx.AsyncClient
) -> None:
    fleet.record(DB, Outcome.SUCCESS)
    tag = (await client.get(PATH)).headers["etag"]
    fleet.now += 5
    same = await client.get(PATH, headers={"if-none-match": tag})
    assert (same.status_code, same.content) == (304, b"")
    assert float(same.headers["console-exporter-time"]) == NOW + 5
    fleet.record(DB, Outcome.SUCCESS)
    assert (await client.get(PATH, headers={"if-none-match": tag})).status_code == 200
    tag = (await client.get(PATH)).headers["etag"]
    fleet.now += 301
    assert (await client.get(PATH, headers={"if-none-match": tag})).status_code == 200


async def test_a_probe_now_is_shown_and_not_recorded(
    fleet: InMemory, client: httpx.AsyncClient
) -> None:
    fleet.outcome = Outcome.TIMEOUT
    answer = await client.post(PATH)
    assert answer.status_code == 200
    assert "Not counted" in answer.text
    assert "&lt;i&gt;why&lt;/i&gt;" in answer.text
    assert fleet.asked == [DB]
    state = fleet.state.get(DB.key)
    assert state is not None
    assert state.last is None


async def test_a_probe_now_is_bounded_as_all_on_demand(
    fleet: InMemory, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.probe_requests._PROBES_AT_ONCE", 0)
    answer = await client.post(PATH)
    assert answer.status_code == 503
    assert "Not probed: 0 probes on demand are running already" in answer.text
    assert fleet.asked == []


async def test_only_a_watched_server_has_a_page(fleet: InMemory, client: httpx.AsyncClient) -> None:
    for path in ("/servers/southwest/nobody", "/servers/east/db-01", "/servers/<b>/db-01"):
        assert (await client.get(path)).status_code == 404
        answer = await client.post(path)
        assert answer.status_code == 404
        assert "No such server" in answer.text
        assert "<b>" not in answer.text.partition("<main")[2]
    assert fleet.asked == []


async def test_every_name_has_an_address(fleet: InMemory, client: httpx.AsyncClient) -> None:
    for project in ("a b", "q?x=1#y", "50%25", "süd & ost", "<&\"'>;"):
        one = target("db-01", project)
        fleet.state.reconcile([one])
        html = (await client.get("/")).text
        href = html.partition('<a href="servers/')[2].partition('"')[0]
        answer = await client.get(f"/servers/{href}")
        assert (answer.status_code, "db-01" in answer.text) == (200, True), project


async def test_all_that_comes_from_outside_is_escaped(
    fleet: InMemory, client: httpx.AsyncClient
) -> None:
    hostile = target(HOSTILE, labels=(("rack", HOSTILE),), region=HOSTILE)
    fleet.state.reconcile([hostile])
    fleet.record(hostile, Outcome.TIMEOUT, Outcome.UNAUTHORIZED, detail=HOSTILE)
    html = (await client.get(f"/servers/southwest/{hostile.key.server_id}")).text
    assert html.count("alert(1)") > 5
    assert "<script>" not in html


async def test_no_more_results_are_drawn_than_can_be_told_apart() -> None:
    fleet = InMemory()
    fleet.state.set_history_length(1000)
    fleet.state.reconcile([DB])
    async with fleet.client() as client:
        fleet.record(DB, *[Outcome.SUCCESS] * 1000)
        html = (await client.get(PATH)).text
    assert html.count('<i class="success') == 60
    assert html.count("<tr><td>") == 50
