"""The simulated cloud without faults, and requests that it rejects."""

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

from exporter.clock import Clock
from exporter.simulator import Simulator, parse_scenario, running_simulator
from exporter.simulator.project_state import ProjectState
from exporter.simulator.scenario import Latency, Project, QuotaSpec

Ask = Callable[..., Awaitable[httpx.Response]]
Start = Callable[[dict[str, Any]], Awaitable[Simulator]]


class FakeClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


async def test_console_address_points_to_the_simulator(simulator: Simulator, ask: Ask) -> None:
    response = await ask(simulator)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert re.fullmatch(
        re.escape(f"{simulator.url}/vnc/db-01.cn-north-1/vnc_auto.html?token=")
        + r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}&compression=9&quality=0&resize=scale",
        response.json()["url"],
    )


async def test_each_console_address_is_new(simulator: Simulator, ask: Ask) -> None:
    addresses = {(await ask(simulator)).json()["url"] for _ in range(5)}
    assert len(addresses) == 5


async def test_server_name_is_escaped_in_the_console_address(
    simulator: Simulator, ask: Ask
) -> None:
    response = await ask(simulator, "/id-3/remote-console-address")
    assert "/vnc/web%2003.cn-north-1/" in response.json()["url"]


async def test_unknown_server_returns_404(simulator: Simulator, ask: Ask) -> None:
    response = await ask(simulator, "/id-9/remote-console-address")
    assert response.status_code == 404
    assert response.json()["error_code"] == "iMetal.0100"
    assert response.headers["X-Request-Id"]


async def test_unknown_path_returns_404_of_the_gateway(
    simulator: Simulator, client: httpx.AsyncClient
) -> None:
    response = await client.get(f"{simulator.url}/v2/nothing")
    assert (response.status_code, response.json()["error_code"]) == (404, "APIGW.0101")
    assert response.json()["request_id"] == response.headers["X-Request-Id"]


async def test_server_list_has_the_documented_form(simulator: Simulator, ask: Ask) -> None:
    response = await ask(simulator, "?manage_state=in-use&limit=10")
    page = response.json()
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
async def test_invalid_credentials_return_401_of_the_gateway(
    simulator: Simulator, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    url = f"{simulator.url}/v1/beta-id/physicalservers"
    response = await client.get(url, headers=headers)
    assert response.status_code == 401
    assert response.json()["error_code"] == "APIGW.0301"
    assert response.json()["request_id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize("project", ["beta-id", "no-such-project"])
async def test_token_is_rejected_for_another_project(
    simulator: Simulator, ask: Ask, project: str
) -> None:
    response = await ask(simulator, project=project)
    assert (response.status_code, response.json()["error_code"]) == (403, "iMetal.0004")


async def test_response_has_the_scenarios_latency_and_its_header(
    document: dict[str, Any], start: Start, ask: Ask, clock: FakeClock
) -> None:
    document["projects"][0]["latency"] = {"median": "50ms"}
    simulator = await start(document)
    waiting = asyncio.ensure_future(ask(simulator))
    while not waiting.done():
        await asyncio.sleep(0.01)
        await clock.advance(0.05)
    held = float(waiting.result().headers["X-Simulated-Held-Seconds"])
    assert held == pytest.approx(0.05)


def test_latencies_have_the_scenarios_median_sigma_and_cap() -> None:
    latency = Latency(median=0.08, sigma=0.5, cap=0.3)
    project_state = ProjectState(
        Project(name="a", region="r", project_id="p", latency=latency), seed=1
    )
    drawn = [project_state.latency() for _ in range(2000)]
    assert statistics.median(drawn) == pytest.approx(0.08, rel=0.05)
    assert statistics.stdev(math.log(one) for one in drawn) == pytest.approx(0.5, rel=0.1)
    assert max(drawn) == 0.3
    same_seed = ProjectState(Project(name="a", region="r", project_id="p", latency=latency), seed=1)
    assert drawn[:10] == [same_seed.latency() for _ in range(10)]


async def test_exhausted_quota_returns_429_until_it_refills(
    simulator: Simulator, ask: Ask, log_in: Ask, clock: FakeClock
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    simulator.set_quota("alpha", QuotaSpec(limit=2, window=10))
    responses = [await ask(simulator, token=token) for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[2].json()["error_msg"].endswith("limit:2,time:10 second")
    assert responses[2].headers["X-Request-Id"] == responses[2].json()["request_id"]
    await clock.advance(5)
    assert [(await ask(simulator, token=token)).status_code for _ in range(2)] == [200, 429]
    simulator.set_quota("alpha", None)
    assert (await ask(simulator, token=token)).status_code == 200
    assert simulator.counts["alpha", "remote_console", "429"] == 2
    assert simulator.counts["alpha", "remote_console", "200"] == 4


async def test_list_uses_url_markers_if_configured(
    document: dict[str, Any], start: Start, ask: Ask
) -> None:
    document["projects"][0] |= {"generate": 20, "markers": "url"}
    simulator = await start(document)
    page = (await ask(simulator, "?limit=10")).json()
    marker = page["page_info"]["next_marker"]
    assert marker.startswith(f"{simulator.url}/v1/0123456789abcdef0123456789abcdef/physicalservers")


async def test_long_tokens_are_accepted(
    document: dict[str, Any], start: Start, log_in: Ask
) -> None:
    document["projects"][0]["token_bytes"] = 9000
    simulator = await start(document)
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    assert len(token) == 9000
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{simulator.url}/v1/0123456789abcdef0123456789abcdef/physicalservers"
        assert (await client.get(url, headers={"X-Auth-Token": token})).status_code == 200


async def test_simulator_serves_over_tls(document: dict[str, Any]) -> None:
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
