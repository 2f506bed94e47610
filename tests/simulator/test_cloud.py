"""What the pretend cloud answers when nothing is wrong, and whom it turns away."""

import asyncio
import math
import re
import ssl
import statistics
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import httpx
import pytest
import trustme

from exporter.simulator import Simulator, parse_scenario, running_simulator
from exporter.simulator.clock import Clock
from exporter.simulator.project_state import ProjectState
from exporter.simulator.scenario import Latency, Project, QuotaSpec

Ask = Callable[..., Awaitable[httpx.Response]]
Start = Callable[[dict[str, Any]], Awaitable[Simulator]]


class MovedClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


async def test_a_console_address_points_to_the_simulator_itself(
    simulator: Simulator, ask: Ask
) -> None:
    answer = await ask(simulator)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert re.fullmatch(
        re.escape(f"{simulator.url}/vnc/db-01.cn-north-1/vnc_auto.html?token=")
        + r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}&compression=9&quality=0&resize=scale",
        answer.json()["url"],
    )


async def test_each_address_is_minted_anew(simulator: Simulator, ask: Ask) -> None:
    addresses = {(await ask(simulator)).json()["url"] for _ in range(5)}
    assert len(addresses) == 5


async def test_a_name_is_escaped_in_its_address(simulator: Simulator, ask: Ask) -> None:
    answer = await ask(simulator, "/id-3/remote-console-address")
    assert "/vnc/web%2003.cn-north-1/" in answer.json()["url"]


async def test_an_unknown_server_is_not_found(simulator: Simulator, ask: Ask) -> None:
    answer = await ask(simulator, "/id-9/remote-console-address")
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "iMetal.0100"
    assert answer.headers["X-Request-Id"]


async def test_an_unknown_api_is_told_by_the_gateway(
    simulator: Simulator, client: httpx.AsyncClient
) -> None:
    answer = await client.get(f"{simulator.url}/v2/nothing")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "APIGW.0101")
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


async def test_the_list_comes_in_the_documented_form(simulator: Simulator, ask: Ask) -> None:
    answer = await ask(simulator, "?manage_state=in-use&limit=10")
    page = answer.json()
    assert [server["id"] for server in page["servers"]] == ["id-1", "id-3"]
    assert page["count"] == 2
    assert page["page_info"] == {"next_marker": None, "previous_marker": None, "current_count": 2}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Auth-Token": ""},
        {"X-Auth-Token": "guessed"},
        {"Authorization": "Basic abc"},
        {
            "Authorization": "SDK-HMAC-SHA256 Access=AKALPHA, SignedHeaders=host;x-sdk-date, "
            "Signature=" + "0" * 64
        },
    ],
)
async def test_who_brings_no_credentials_is_turned_away_by_the_gateway(
    simulator: Simulator, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    url = f"{simulator.url}/v1/beta-id/physicalservers"
    answer = await client.get(url, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error_code"] == "APIGW.0301"
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("project", ["beta-id", "no-such-project"])
async def test_a_token_does_not_open_another_project(
    simulator: Simulator, ask: Ask, project: str
) -> None:
    answer = await ask(simulator, project=project)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "iMetal.0004")


async def test_an_answer_is_held_as_long_as_the_scenario_wants_and_says_so(
    document: dict[str, Any], start: Start, ask: Ask, clock: MovedClock
) -> None:
    document["projects"][0]["latency"] = {"median": "50ms"}
    simulator = await start(document)
    waiting = asyncio.ensure_future(ask(simulator))
    while not waiting.done():
        await asyncio.sleep(0.01)
        await clock.advance(0.05)
    held = float(waiting.result().headers["X-Simulated-Held-Seconds"])
    assert held == pytest.approx(0.05)


def test_latencies_have_the_median_and_the_cap_that_the_scenario_names() -> None:
    latency = Latency(median=0.08, sigma=0.5, cap=0.3)
    project_state = ProjectState(Project("a", "r", "p", latency=latency), seed=1)
    drawn = [project_state.latency() for _ in range(2000)]
    assert statistics.median(drawn) == pytest.approx(0.08, rel=0.05)
    assert statistics.stdev(math.log(one) for one in drawn) == pytest.approx(0.5, rel=0.1)
    assert max(drawn) == 0.3
    again = ProjectState(Project("a", "r", "p", latency=latency), seed=1)
    assert drawn[:10] == [again.latency() for _ in range(10)]


async def test_a_used_up_quota_is_answered_429_until_it_refills(
    simulator: Simulator, ask: Ask, log_in: Ask, clock: MovedClock
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    simulator.set_quota("alpha", QuotaSpec(limit=2, window=10))
    answers = [await ask(simulator, token=token) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["error_msg"].endswith("limit:2,time:10 second")
    assert answers[2].headers["X-Request-Id"] == answers[2].json()["request_id"]
    await clock.advance(5)
    assert [(await ask(simulator, token=token)).status_code for _ in range(2)] == [200, 429]
    simulator.set_quota("alpha", None)
    assert (await ask(simulator, token=token)).status_code == 200
    assert simulator.counts["alpha", "remote_console", "429"] == 2
    assert simulator.counts["alpha", "remote_console", "200"] == 4


async def test_a_list_comes_by_url_markers_if_the_scenario_wants_them(
    document: dict[str, Any], start: Start, ask: Ask
) -> None:
    document["projects"][0] |= {"generate": 20, "markers": "url"}
    simulator = await start(document)
    page = (await ask(simulator, "?limit=10")).json()
    marker = page["page_info"]["next_marker"]
    assert marker.startswith(f"{simulator.url}/v1/0123456789abcdef0123456789abcdef/physicalservers")


async def test_long_tokens_pass(document: dict[str, Any], start: Start, log_in: Ask) -> None:
    document["projects"][0]["token_bytes"] = 9000
    simulator = await start(document)
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    assert len(token) == 9000
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{simulator.url}/v1/0123456789abcdef0123456789abcdef/physicalservers"
        assert (await client.get(url, headers={"X-Auth-Token": token})).status_code == 200


async def test_it_speaks_tls(document: dict[str, Any]) -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    async with (
        running_simulator(parse_scenario(document), ssl_context=server_side) as simulator,
        httpx.AsyncClient(verify=client_side, trust_env=False) as client,
    ):
        assert simulator.url.startswith("https://127.0.0.1:")
        assert (await client.get(f"{simulator.url}/simulator/counts")).json() == []
