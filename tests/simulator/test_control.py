"""The control API of a simulator over HTTP."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from exporter.simulator import Simulator

Ask = Callable[..., Awaitable[httpx.Response]]


async def test_counts_are_listed_by_project_operation_and_status(
    simulator: Simulator, client: httpx.AsyncClient, ask: Ask
) -> None:
    await ask(simulator)
    await ask(simulator, "/id-9/remote-console-address", token="guessed", project="no-such")
    counts = (await client.get(f"{simulator.url}/simulator/counts")).json()
    assert counts == [
        {"project": "alpha", "operation": "create_token", "status": "201", "count": 1},
        {"project": "alpha", "operation": "remote_console", "status": "200", "count": 1},
        {"project": "none", "operation": "remote_console", "status": "401", "count": 1},
    ]


async def test_quota_is_set_and_removed(
    simulator: Simulator, client: httpx.AsyncClient, ask: Ask
) -> None:
    url = f"{simulator.url}/simulator/quota/alpha"
    response = await client.put(url, json={"limit": 1, "window": "1m", "retry_after": "seconds"})
    assert response.status_code == 204
    await ask(simulator)
    rejected = await ask(simulator)
    assert (rejected.status_code, rejected.headers["Retry-After"]) == (429, "60")
    assert (await client.put(url, content=b"null")).status_code == 204
    assert (await ask(simulator)).status_code == 200
    await client.put(url, json={"limit": 1, "window": 60})
    assert (await client.put(url)).status_code == 204
    assert [(await ask(simulator)).status_code for _ in range(2)] == [200, 200]


async def test_faults_are_replaced(
    simulator: Simulator, client: httpx.AsyncClient, ask: Ask
) -> None:
    url = f"{simulator.url}/simulator/faults"
    assert (await client.put(url, json=[{"kind": "html"}])).status_code == 204
    assert (await ask(simulator)).text.startswith("<!DOCTYPE")
    assert (await client.put(url, json=[])).status_code == 204
    assert (await ask(simulator)).json()["url"]


async def test_tokens_are_revoked(
    simulator: Simulator, client: httpx.AsyncClient, ask: Ask, log_in: Ask
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    response = await client.delete(f"{simulator.url}/simulator/tokens/alpha")
    assert response.status_code == 204
    assert (await ask(simulator, token=token)).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("quota/alpha", b"{", 400, "the body is not valid JSON\n"),
        ("quota/alpha", b'{"limit": 1}', 400, "quota.window: missing\n"),
        ("quota/gamma", b"null", 404, "unknown project\n"),
        ("faults", b'[{"kind": "hang"}, {"kind": "slow"}]', 400, "faults[1].seconds: missing\n"),
    ],
)
async def test_invalid_request_returns_the_error(
    simulator: Simulator, path: str, body: bytes, status: int, message: str
) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.put(f"{simulator.url}/simulator/{path}", content=body)
    assert (response.status_code, response.text) == (status, message)
