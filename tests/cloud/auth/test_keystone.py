"""The password login against a real OpenStack Keystone."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from exporter.clock import SystemClock
from exporter.cloud.answer import Answer
from exporter.cloud.auth import Login, Send, login_for
from exporter.cloud.errors import LoginFailedError
from exporter.cloud.observer import Unobserved
from exporter.cloud.transport import Transport
from exporter.config.config import PasswordAuth, Project, Tls
from exporter.config.secret import Secret
from tests.cloud.auth.pretend_iam import Observed, api_request
from tests.real.keystone import Account, Keystone

NewLogin = Callable[..., Login]


@pytest.fixture
async def send() -> AsyncIterator[Send]:
    """Return the program's own way to the wire."""
    transport = Transport(tls=Tls(), proxy_url=None, observer=Unobserved())

    async def send(request: httpx.Request) -> Answer:
        return await transport.send(request, timeout=10, max_bytes=1 << 20)

    yield send
    await transport.aclose()


@pytest.fixture
def account(keystone: Keystone) -> Account:
    """Return a user of the domain ``my-account`` and its project."""
    return keystone.create_account()


@pytest.fixture
def new_login(keystone: Keystone, account: Account, send: Send, observed: Observed) -> NewLogin:
    """Return what makes a login of the account with a given password."""

    def make(password: str = account.password) -> Login:
        project = Project(
            name="p",
            region="r",
            project_id=account.project_id,
            endpoint="http://127.0.0.1:9",
            auth=PasswordAuth(keystone.url, account.username, Secret(password), account.domain),
            timeout=10,
        )
        return login_for(project, send=send, fetch=send, observer=observed, clock=SystemClock())

    return make


async def authorized(login: Login) -> httpx.Request:
    request = api_request()
    await login.authorize(request)
    return request


def token(request: httpx.Request) -> str:
    return str(request.headers["x-auth-token"])


async def test_logs_in(keystone: Keystone, new_login: NewLogin) -> None:
    login = new_login()
    request = await authorized(login)
    assert keystone.validate(token(request)) == 200
    assert login.expires_at == pytest.approx(time.time() + 3600, abs=10)
    assert token(await authorized(login)) == token(request)


async def test_serves_many_at_once_with_one_token(new_login: NewLogin, observed: Observed) -> None:
    login = new_login()
    requests = await asyncio.gather(*(authorized(login) for _ in range(20)))
    assert len({token(request) for request in requests}) == observed.refreshed == 1


async def test_never_sends_a_token_that_has_expired(
    keystone: Keystone, new_login: NewLogin, observed: Observed
) -> None:
    with keystone.token_lifetime(3):
        login = new_login()
        first = await authorized(login)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert keystone.validate(token(await authorized(login))) == 200
            await asyncio.sleep(0.05)
    assert keystone.validate(token(first)) == 404
    assert observed.refreshed >= 2
    assert observed.failed == 0


async def test_refreshes_ahead_while_the_token_still_serves(
    keystone: Keystone, new_login: NewLogin, observed: Observed
) -> None:
    with keystone.token_lifetime(4):
        login = new_login()
        first = token(await authorized(login))
        while observed.refreshed == 1:
            present = token(await authorized(login))
            assert present == first or observed.refreshed == 2
            await asyncio.sleep(0.02)
        # The new token came while the old one was good: nobody had to wait for it.
        assert keystone.validate(first) == 200
        second = token(await authorized(login))
    assert second != first
    assert keystone.validate(second) == 200


async def test_is_cured_by_renewing_when_the_token_is_revoked(
    keystone: Keystone, new_login: NewLogin, observed: Observed
) -> None:
    login = new_login()
    first = await authorized(login)
    keystone.revoke(token(first))
    assert keystone.validate(token(first)) == 404
    assert await login.renew(first)
    second = await authorized(login)
    assert keystone.validate(token(second)) == 200
    assert observed.refreshed == 2


async def test_is_refused_with_a_wrong_password(new_login: NewLogin, observed: Observed) -> None:
    login = new_login("wrong")
    for _ in range(3):
        with pytest.raises(LoginFailedError, match="401: check username, password and domain"):
            await authorized(login)
    assert observed.failed == 1


async def test_is_not_cured_when_the_password_was_changed(
    keystone: Keystone, account: Account, new_login: NewLogin
) -> None:
    login = new_login()
    request = await authorized(login)
    keystone.change_password(account, "other")
    assert keystone.validate(token(request)) == 404
    assert not await login.renew(request)
