"""Tests that rejected logins stay below the limits at which IAM locks an account."""

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.cloud.auth import Lockouts, login_for
from exporter.cloud.auth.lockout import Lockout
from exporter.cloud.auth.login import Login
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import PasswordAuth, Project
from exporter.config.secret import Secret
from exporter.simulator.iam import Iam, LoginRequest
from exporter.simulator.lockout import Failures
from exporter.simulator.scenario import Project as SimulatedProject
from exporter.simulator.scenario import User
from exporter.simulator.tokens import Tokens
from tests.cloud.auth.fake_iam import CountingObserver, FakeIam, api_request, response

if TYPE_CHECKING:
    from tests.conftest import FakeClock

MINUTE, HOUR = 60.0, 3600.0


@pytest.fixture
def lockout(clock: "FakeClock") -> Lockout:
    return Lockout(clock)


def new_login(  # noqa: PLR0913, PLR0917 - all that differs between logins
    iam: FakeIam,
    observer: CountingObserver,
    clock: "FakeClock",
    lockouts: Lockouts,
    password: str = "wrong",
    project_id: str = "0123",
) -> Login:
    auth = PasswordAuth("https://iam.example", "monitor", Secret(password), "my-account")
    project = Project(
        name="p",
        region="r",
        project_id=project_id,
        endpoint="https://clouddc.example",
        auth=auth,
    )
    return login_for(
        project, send=iam, fetch=iam, observer=observer, clock=clock, lockouts=lockouts
    )


async def logs_in(login: Login) -> bool:
    try:
        await login.authorize(api_request())
    except LoginFailedError:
        return False
    return True


def blocked(lockout: Lockout, secret: bytes, account: str = "account") -> bool:
    return lockout.blocked(secret, account) is not None


async def test_many_projects_try_a_wrong_password_twice_an_hour_together(
    iam: FakeIam, observer: CountingObserver, clock: "FakeClock"
) -> None:
    lockouts = Lockouts(clock)
    logins = [
        new_login(iam, observer, clock, lockouts, project_id=f"project-{number}")
        for number in range(8)
    ]
    for _ in range(24 * 60):
        for login in logins:
            assert not await logs_in(login)
        await clock.advance(MINUTE)
    # A policy may lock after three failures within an hour, both ends included.
    assert iam.rejected_within(HOUR + 1) == 2
    assert len(iam.rejected_at) == observer.failed <= 25


async def test_projects_with_different_wrong_passwords_try_each_twice_an_hour(
    iam: FakeIam, observer: CountingObserver, clock: "FakeClock"
) -> None:
    lockouts = Lockouts(clock)
    logins = [
        new_login(iam, observer, clock, lockouts, password=f"wrong-{number}") for number in range(2)
    ]
    for _ in range(12 * 60):
        for login in logins:
            assert not await logs_in(login)
        await clock.advance(MINUTE)
    assert iam.rejected_within(HOUR + 1) == 4


async def test_a_corrected_project_id_is_tried_at_once(
    iam: FakeIam, observer: CountingObserver, clock: "FakeClock"
) -> None:
    lockouts = Lockouts(clock)
    iam.responses = [response(401)]
    assert not await logs_in(
        new_login(iam, observer, clock, lockouts, password="right", project_id="wrong")
    )
    assert await logs_in(new_login(iam, observer, clock, lockouts, password="right"))


async def test_the_second_attempt_is_after_half_an_hour(
    lockout: Lockout, clock: "FakeClock"
) -> None:
    lockout.record_failure("no", b"secret", "account")
    await clock.advance(30 * MINUTE)
    assert blocked(lockout, b"secret")
    await clock.advance(MINUTE)
    assert not blocked(lockout, b"secret")


async def test_after_two_rejections_a_secret_is_blocked_for_an_hour(
    lockout: Lockout, clock: "FakeClock"
) -> None:
    lockout.record_failure("no", b"secret", "account")
    assert not blocked(lockout, b"secret", "another account")
    lockout.record_failure("no", b"secret", "another account")
    await clock.advance(HOUR)
    assert blocked(lockout, b"secret", "account")
    assert blocked(lockout, b"secret", "a third account")
    await clock.advance(MINUTE)
    assert not blocked(lockout, b"secret", "account")


def test_a_changed_secret_is_not_blocked_and_the_old_one_stays_blocked(lockout: Lockout) -> None:
    lockout.record_failure("no", b"old", "account")
    assert not blocked(lockout, b"new")
    lockout.record_success(b"new")
    assert blocked(lockout, b"old")
    assert not blocked(lockout, b"new")


async def test_the_error_says_when_a_changed_secret_is_tried(
    lockout: Lockout, clock: "FakeClock"
) -> None:
    for number in range(4):
        lockout.record_failure("no", str(number).encode(), "account")
        await clock.advance(MINUTE)
    assert str(lockout.blocked(b"another", "account")) == (
        "no; failing since 2027-01-15T08:03:00Z, next attempt at 2027-01-15T08:15:00Z"
    )


def test_memory_is_bounded(lockout: Lockout) -> None:
    for number in range(1000):
        lockout.record_failure("no", str(number).encode(), "account")
    assert len(vars(lockout)["_rejected"]) == 16


@pytest.mark.parametrize("limit", [3, 5, 10])
async def test_the_simulators_lockout_agrees(
    limit: int, observer: CountingObserver, clock: "FakeClock"
) -> None:
    """It counts failures in a row: so the first hour stays below three, the strictest policy."""
    user = User(name="monitor", password="right", domain="my-account")
    project = SimulatedProject(name="p", region="r", project_id="0123", users=(user,), servers=())
    simulated = Iam({"p": project}, Tokens(), Failures(limit, 15 * MINUTE))
    statuses: list[int] = []

    async def send(request: httpx.Request) -> httpx.Response:
        login = LoginRequest(request.content)
        reply = simulated.create_token(login, clock.monotonic(), clock.time(), changed=False)
        statuses.append(reply.status)
        return response(reply.status, json.loads(reply.body), dict(reply.headers))

    lockouts = Lockouts(clock)
    wrong = PasswordAuth("https://iam.example", "monitor", Secret("wrong"), "my-account")
    right = PasswordAuth("https://iam.example", "monitor", Secret("right"), "my-account")
    logins = [
        login_for(
            Project("p", "r", "0123", "https://clouddc.example", auth=auth),
            send=send,
            fetch=send,
            observer=observer,
            clock=clock,
            lockouts=lockouts,
        )
        for auth in (wrong, right)
    ]
    for _ in range(90):
        assert not await logs_in(logins[0])
        await clock.advance(MINUTE)
    assert statuses == [401, 401]
    assert await logs_in(logins[1])
