"""Log-ins with passwords: what is given, what is refused, and how long a token holds."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

import httpx
import pytest

from exporter.simulator import Simulator
from exporter.simulator.clock import Clock
from exporter.simulator.scenario import Fault, FaultKind, Span

Ask = Callable[..., Awaitable[httpx.Response]]
Start = Callable[[dict[str, Any]], Awaitable[Simulator]]


class MovedClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


async def test_the_right_password_gives_a_long_token_for_the_project(
    simulator: Simulator, log_in: Ask, clock: Clock
) -> None:
    answer = await log_in(simulator)
    assert answer.status_code == 201
    assert len(answer.headers["X-Subject-Token"]) == 3000
    assert answer.headers["X-Request-Id"]
    token = answer.json()["token"]
    assert token["project"]["name"] == "alpha"
    assert token["methods"] == ["password"]
    assert token["expires_at"].endswith("Z")
    assert datetime.fromisoformat(token["expires_at"]).timestamp() == clock.time() + 3600
    assert simulator.counts == {("alpha", "create_token", "201"): 1}


async def test_tokens_differ(simulator: Simulator, log_in: Ask) -> None:
    tokens = {(await log_in(simulator)).headers["X-Subject-Token"] for _ in range(10)}
    assert len(tokens) == 10


async def test_a_project_is_found_by_its_name_too(simulator: Simulator, log_in: Ask) -> None:
    answer = await log_in(simulator, scope={"name": "beta"})
    assert answer.json()["token"]["project"]["id"] == "beta-id"


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
async def test_a_wrong_log_in_is_refused_as_iam_does(
    simulator: Simulator, log_in: Ask, wrong: dict[str, Any]
) -> None:
    answer = await log_in(simulator, **wrong)
    assert answer.status_code == 401
    assert "X-Subject-Token" not in answer.headers
    assert answer.headers["X-Request-Id"]
    assert answer.json()["error"] == {
        "message": "The username or password is wrong.",
        "code": 401,
        "title": "Unauthorized",
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b'{"auth": 1}', b'{"auth": {"identity": {"methods": ["token"]}}}'],
)
async def test_an_unreadable_log_in_is_a_bad_request(
    simulator: Simulator, client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.post(f"{simulator.url}/v3/auth/tokens", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == 400


async def test_five_failures_lock_the_account_for_a_quarter_of_an_hour(
    simulator: Simulator, log_in: Ask, clock: MovedClock
) -> None:
    for _ in range(5):
        assert (await log_in(simulator, password="wrong")).status_code == 401
    assert (await log_in(simulator)).status_code == 401
    await clock.advance(15 * 60)
    assert (await log_in(simulator)).status_code == 201


async def test_the_lock_can_be_set(document: dict[str, Any], start: Start, log_in: Ask) -> None:
    simulator = await start({**document, "lockout": {"failures": 0}})
    for _ in range(10):
        await log_in(simulator, password="wrong")
    assert (await log_in(simulator)).status_code == 201


async def test_a_token_ends_with_its_lifetime(
    simulator: Simulator, log_in: Ask, ask: Ask, clock: MovedClock
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    await clock.advance(3599)
    assert (await ask(simulator, token=token)).status_code == 200
    await clock.advance(1)
    answer = await ask(simulator, token=token)
    assert answer.status_code == 401
    assert answer.json()["error_code"] == "APIGW.0307"


async def test_a_new_token_does_not_end_the_old_one(
    simulator: Simulator, log_in: Ask, ask: Ask
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    await log_in(simulator)
    assert (await ask(simulator, token=token)).status_code == 200


async def test_revoked_tokens_are_refused_and_new_ones_accepted(
    simulator: Simulator, log_in: Ask, ask: Ask
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    simulator.revoke_tokens("beta")
    assert (await ask(simulator, token=token)).status_code == 200
    simulator.revoke_tokens("alpha")
    answer = await ask(simulator, token=token)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "APIGW.0301")
    assert (await ask(simulator)).status_code == 200


async def test_a_fault_revokes_the_tokens_of_before_it_each_time_it_comes(
    simulator: Simulator, log_in: Ask, ask: Ask, clock: MovedClock
) -> None:
    simulator.add_fault(
        Fault(FaultKind.REVOKE_TOKENS, project="alpha", active=Span(10, 100, 20, 1))
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


async def test_while_the_password_is_changed_the_old_one_is_wrong_and_tokens_hold(
    simulator: Simulator, log_in: Ask, ask: Ask
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    fault = Fault(FaultKind.WRONG_PASSWORD, project="alpha")
    simulator.add_fault(fault)
    assert (await log_in(simulator)).status_code == 401
    assert (await log_in(simulator, scope={"name": "beta"})).status_code == 201
    assert (await ask(simulator, token=token)).status_code == 200
    simulator.remove_fault(fault)
    assert (await log_in(simulator)).status_code == 201


async def test_while_iam_is_down_log_ins_are_unavailable_and_tokens_hold(
    simulator: Simulator, log_in: Ask, ask: Ask
) -> None:
    token = (await log_in(simulator)).headers["X-Subject-Token"]
    simulator.add_fault(Fault(FaultKind.IAM_DOWN))
    answer = await log_in(simulator)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == 503
    assert (await ask(simulator, token=token)).status_code == 200


async def test_secrets_do_not_come_back(simulator: Simulator, log_in: Ask) -> None:
    answer = await log_in(simulator)
    assert "right" not in answer.text
    assert answer.headers["X-Subject-Token"] not in answer.text
