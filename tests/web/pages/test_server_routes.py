"""A server's page over HTTP."""

from collections.abc import AsyncIterator

import httpx
import pytest

from exporter.outcome import Outcome
from tests.web.fake_exporter import HOSTILE, NOW, FakeExporter, target

DB = target("db-01", labels=(("rack", "r12"),))
PATH = "/servers/southwest/db-01"


@pytest.fixture
def fleet() -> FakeExporter:
    return FakeExporter()


@pytest.fixture
async def client(fleet: FakeExporter) -> AsyncIterator[httpx.AsyncClient]:
    fleet.state.reconcile([DB])
    async with fleet.client() as client:
        yield client


async def test_unprobed_server_is_unknown(client: httpx.AsyncClient) -> None:
    html = (await client.get(PATH)).text
    assert 'class="state unknown"' in html
    assert "Not probed yet." in html


async def test_since_is_the_first_verdict_of_the_current_state(
    fleet: FakeExporter, client: httpx.AsyncClient
) -> None:
    fleet.record(DB, Outcome.SUCCESS)
    for outcome in (Outcome.TIMEOUT, Outcome.THROTTLED, Outcome.TIMEOUT):
        fleet.now += 60
        fleet.record(DB, outcome)
    html = (await client.get(PATH)).text
    assert 'class="state failing"' in html
    assert f'since 08:01:00 UTC <span class="ago" data-at="{NOW + 60}"' in html
    assert "Timeout at api, 2 times in a row" in html


async def test_since_is_known_for_longer_than_the_history(
    fleet: FakeExporter, client: httpx.AsyncClient
) -> None:
    began = fleet.now
    for _ in range(10):
        fleet.record(DB, Outcome.SUCCESS)
        fleet.now += 60
    assert f'data-at="{began}"' in (await client.get(PATH)).text


async def test_inconclusive_probe_keeps_the_verdict_and_is_shown(
    fleet: FakeExporter, client: httpx.AsyncClient
) -> None:
    fleet.record(DB, Outcome.SUCCESS)
    fleet.record(DB, Outcome.UNAUTHORIZED, detail="IAM answered 401")
    html = (await client.get(PATH)).text
    assert 'class="state working"' in html
    assert "inconclusive: unauthorized, IAM answered 401. The older verdict is shown." in html


async def test_old_verdict_is_shown_as_stale(
    fleet: FakeExporter, client: httpx.AsyncClient
) -> None:
    fleet.record(DB, Outcome.TIMEOUT)
    fleet.now += 301
    html = (await client.get(PATH)).text
    assert 'class="state stale"' in html
    assert "No conclusive probe for more than 5 intervals. The last verdict was: failing." in html


async def test_unchanged_page_is_304(fleet: FakeExporter, client: httpx.AsyncClient) -> None:
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


async def test_probe_on_demand_is_shown_and_not_recorded(
    fleet: FakeExporter, client: httpx.AsyncClient
) -> None:
    fleet.outcome, fleet.detail = Outcome.TIMEOUT, "<i>why</i>"
    response = await client.post(PATH)
    assert response.status_code == 200
    assert "Not recorded" in response.text
    assert "&lt;i&gt;why&lt;/i&gt;" in response.text
    assert [target for target, _ in fleet.probed] == [DB]
    state = fleet.state.get(DB.key)
    assert state is not None
    assert state.last is None


async def test_number_of_concurrent_probes_on_the_page_is_limited(
    fleet: FakeExporter, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.probe_requests._PROBES_AT_ONCE", 0)
    response = await client.post(PATH)
    assert response.status_code == 503
    assert "Not probed: 0 probes on demand are already running" in response.text
    assert fleet.probed == []


async def test_unknown_server_has_no_page(fleet: FakeExporter, client: httpx.AsyncClient) -> None:
    for path in ("/servers/southwest/nobody", "/servers/east/db-01", "/servers/<b>/db-01"):
        assert (await client.get(path)).status_code == 404
        response = await client.post(path)
        assert response.status_code == 404
        assert "No such server" in response.text
        assert "<b>" not in response.text.partition("<main")[2]
    assert fleet.probed == []


async def test_every_project_name_gives_a_working_link(
    fleet: FakeExporter, client: httpx.AsyncClient
) -> None:
    for project in ("a b", "q?x=1#y", "50%25", "süd & ost", "<&\"'>;"):
        one = target("db-01", project)
        fleet.state.reconcile([one])
        html = (await client.get("/")).text
        href = html.partition('<a href="servers/')[2].partition('"')[0]
        response = await client.get(f"/servers/{href}")
        assert (response.status_code, "db-01" in response.text) == (200, True), project


async def test_untrusted_text_is_escaped(fleet: FakeExporter, client: httpx.AsyncClient) -> None:
    hostile = target(HOSTILE, labels=(("rack", HOSTILE),), region=HOSTILE)
    fleet.state.reconcile([hostile])
    fleet.record(hostile, Outcome.TIMEOUT, Outcome.UNAUTHORIZED, detail=HOSTILE)
    html = (await client.get(f"/servers/southwest/{hostile.key.server_id}")).text
    assert html.count("alert(1)") > 5
    assert "<script>" not in html


async def test_number_of_results_shown_is_limited() -> None:
    fleet = FakeExporter()
    fleet.state.set_history_length(1000)
    fleet.state.reconcile([DB])
    async with fleet.client() as client:
        fleet.record(DB, *[Outcome.SUCCESS] * 1000)
        html = (await client.get(PATH)).text
    assert html.count('<i class="success') == 60
    assert html.count("<tr><td>") == 50
