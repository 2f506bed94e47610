"""Logins with passwords: success, errors, and lifetime of tokens."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

import httpx
import pytest

from exporter.clock import Clock
from exporter.simulator import Simulator
from exporter.simulator.scenario import Fault, FaultKind

Ask = Callable[..., Awaitable[httpx.Response]]
Start = Callable[[dict[str, Any]], Awaitable[Simulator]]


class FakeClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


async def test_correct_password_returns_a_long_token_of_the_project(
    simulator: Simulator, log_in: Ask, clock: Clock
) -> None:
    response = await log_in(simulator)
    assert response.status_code == 201
    assert len(response.headers["X-Subject-Token"]) == 3000
    assert response.headers["X-Request-Id"]
    token = response.json()["token"]
    assert token["project"]["name"] == "alpha"
    assert token["methods"] == ["password"]
    assert token["expires_at"].endswith("Z")
    assert datetime.fromisoformat(token["expires_at"]).timestamp() == clock.time() + 3600
    assert simulator.counts == {("alpha", "create_token", "201"): 1}


async def test_tokens_are_unique(simulator: Simulator, log_in: Ask) -> None:
    tokens = {(await log_in(simulator)).headers["X-Subject-Token"] for _ in range(10)}
    assert len(tokens) == 10


async def test_project_can_be_named_instead_of_its_id(simulator: Simulator, log_in: Ask) -> None:
    response = await log_in(simulator, scope={"name": "beta"})
    assert response.json()["token"]["project"]["id"] == "beta-id"


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "wrong"},
        {"name": "nobody"},
        {"domain": "elsewhere"},
        {"scope": {"id": "no-such-project"}},
        {"scope": {"name": "no-such-project"}},
    ],
)
async def test_failed_login_returns_401_in_iams_format(
    simulator: Simulator, log_in: Ask, wrong: dict[str, Any]
) -> None:
    response = await log_in(simulator, **wrong)
    assert response.status_code == 401
    assert "X-Subject-Token" not in response.headers
    assert response.headers["X-Request-Id"]
    assert response.json()["error"] == {
        "message": "The username or password is wrong.",
        "code": 401,
        "title": "Unauthorized",
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b'{"auth": 1}', b'{"auth": {"identity": {"methods": ["token"]}}}'],
)
async def test_malformed_login_returns_400(
    simulator: Simulator, client: httpx.AsyncClient, body: bytes
) -> None:
    response = await client.post(f"{simulator.url}/v3/auth/tokens", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == 400


async def test_five_failures_lock_the_account_for_15_minutes(
    simulator: Simulator, log_in: Ask, clock: FakeClock
) -> None:
    for _ in range(5):
        assert (await log_in(simulator, password="wrong")).status_code == 401
    assert (await log_in(simulator)).status_code == 401
    await clock.advance(15 * 60)
    assert (await log_in(simulator)).status_code == 201


async def test_lockout_is_configurable(document: dict[str, Any], start: Start, log_in: Ask) -> None:
    simulator = await start({**document, "lockout": {"failures": 0}})
    for _ in range(10):
        await log_in(simulator, password="wrong")
    assert (await log_in(simulator)).status_code == 201


async def test_token_expires_after_its_lifetime(
    simulator: Simulator, log_in: Ask, ask: Ask, clock: FakeClock
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    await clock.advance(3599)
    assert (await ask(simulator, token=token)).status_code == 200
    await clock.advance(1)
    response = await ask(simulator, token=token)
    assert response.status_code == 401
    assert response.json()["error_code"] == "APIGW.0307"


async def test_new_token_does_not_revoke_the_old_one(
    simulator: Simulator, log_in: Ask, ask: Ask
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    await log_in(simulator)
    assert (await ask(simulator, token=token)).status_code == 200


async def test_revoked_tokens_are_rejected_and_new_ones_accepted(
    simulator: Simulator, log_in: Ask, ask: Ask
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    simulator.revoke_tokens("beta")
    assert (await ask(simulator, token=token)).status_code == 200
    simulator.revoke_tokens("alpha")
    response = await ask(simulator, token=token)
    assert (response.status_code, response.json()["error_code"]) == (401, "APIGW.0301")
    assert (await ask(simulator)).status_code == 200


async def test_revoke_tokens_fault_revokes_older_tokens_at_each_start(
    simulator: Simulator, log_in: Ask, ask: Ask, clock: FakeClock
) -> None:
    simulator.add_fault(
        Fault(kind=FaultKind.REVOKE_TOKENS, project="alpha", start=10, end=100, every=20, lasting=1)
    )
    old = (await log_in(simulator)).headers["X-Subject-Token"]
    await clock.advance(9)
    assert (await ask(simulator, token=old)).status_code == 200
    await clock.advance(2)
    assert (await ask(simulator, token=old)).status_code == 401
    new = (await log_in(simulator)).headers["X-Subject-Token"]
    assert (await ask(simulator, token=new)).status_code == 200
    await clock.advance(20)
    assert (await ask(simulator, token=new)).status_code == 401


async def test_wrong_password_fault_rejects_logins_but_not_tokens(
    simulator: Simulator, log_in: Ask, ask: Ask
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    fault = Fault(kind=FaultKind.WRONG_PASSWORD, project="alpha")
    simulator.add_fault(fault)
    assert (await log_in(simulator)).status_code == 401
    assert (await log_in(simulator, scope={"name": "beta"})).status_code == 201
    assert (await ask(simulator, token=token)).status_code == 200
    simulator.remove_fault(fault)
    assert (await log_in(simulator)).status_code == 201


async def test_iam_down_fault_rejects_logins_but_not_tokens(
    simulator: Simulator, log_in: Ask, ask: Ask
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    simulator.add_fault(Fault(kind=FaultKind.IAM_DOWN))
    response = await log_in(simulator)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == 503
    assert (await ask(simulator, token=token)).status_code == 200


async def test_login_response_body_contains_no_secrets(simulator: Simulator, log_in: Ask) -> None:
    response = await log_in(simulator)
    assert "right" not in response.text
    assert response.headers["X-Subject-Token"] not in response.text
