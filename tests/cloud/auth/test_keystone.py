"""Tests of the password login against a real OpenStack Keystone."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.clock import Clock, SystemClock
from exporter.cloud.auth import login_for
from exporter.cloud.auth.login import Login, SendRequest
from exporter.cloud.errors import LoginFailedError
from exporter.cloud.observer import Unobserved
from exporter.config.config import PasswordAuth, Project, Tls
from exporter.config.secret import Secret
from exporter.http.transport import WireTransport
from tests.cloud.auth.fake_iam import CountingObserver, api_request
from tests.http.requests import extensions
from tests.real.keystone import LOCKED_AFTER, Account, Keystone

if TYPE_CHECKING:
    from tests.conftest import FakeClock

NewLogin = Callable[..., Login]


@pytest.fixture
async def send() -> AsyncIterator[SendRequest]:
    """Return a function that sends requests through the exporter's transport."""
    transport = WireTransport(tls=Tls(), proxy_url=None, observer=Unobserved())

    async def send(request: httpx.Request) -> httpx.Response:
        request.extensions = extensions(seconds=10)
        return await transport.handle_async_request(request)

    yield send
    await transport.aclose()


@pytest.fixture(scope="module")
def account(keystone: Keystone) -> Account:
    """Return a user of the domain ``my-account`` and its project."""
    return keystone.create_account()


@pytest.fixture
def new_login(keystone: Keystone, send: SendRequest, observer: CountingObserver) -> NewLogin:
    """Return a function that creates a login of an account."""

    def make(account: Account, password: str | None = None, clock: Clock | None = None) -> Login:
        auth = PasswordAuth(
            keystone.url, account.username, Secret(password or account.password), account.domain
        )
        project = Project(
            name="p",
            region="r",
            project_id=account.project_id,
            endpoint="http://127.0.0.1:9",
            auth=auth,
            timeout=10,
        )
        clock = clock or SystemClock()
        return login_for(project, send=send, fetch=send, observer=observer, clock=clock)

    return make


async def authorized(login: Login) -> httpx.Request:
    request = api_request()
    await login.authorize(request)
    return request


def token(request: httpx.Request) -> str:
    return str(request.headers["x-auth-token"])


async def test_logs_in(keystone: Keystone, account: Account, new_login: NewLogin) -> None:
    login = new_login(account)
    request = await authorized(login)
    assert keystone.validate(token(request)) == 200
    assert login.expires_at == pytest.approx(time.time() + 3600, abs=10)
    assert token(await authorized(login)) == token(request)


async def test_concurrent_requests_get_the_same_token(
    account: Account, new_login: NewLogin, observer: CountingObserver
) -> None:
    login = new_login(account)
    requests = await asyncio.gather(*(authorized(login) for _ in range(20)))
    assert len({token(request) for request in requests}) == observer.refreshed == 1


async def test_never_sends_an_expired_token(
    keystone: Keystone, account: Account, new_login: NewLogin, observer: CountingObserver
) -> None:
    with keystone.token_lifetime(4):
        login = new_login(account)
        first = current = token(await authorized(login))
        expires_at = login.expires_at or 0.0
        while current == first:
            current = token(await authorized(login))
            assert (login.expires_at or 0.0) > time.time()
            await asyncio.sleep(0.01)
    assert keystone.validate(current) == 200
    await asyncio.sleep(expires_at - time.time() + 0.1)
    assert keystone.validate(first) == 404
    assert observer.failed == 0


async def test_refreshes_the_token_before_it_expires(
    keystone: Keystone, account: Account, new_login: NewLogin, clock: "FakeClock"
) -> None:
    login = new_login(account, clock=clock)
    first = token(await authorized(login))
    await clock.advance(3200)
    assert token(await authorized(login)) == first
    await clock.advance(100)
    while (current := token(await authorized(login))) == first:
        assert keystone.validate(first) == 200
        await asyncio.sleep(0.01)
    assert keystone.validate(first) == 200
    assert keystone.validate(current) == 200


async def test_renews_a_revoked_token(
    keystone: Keystone, account: Account, new_login: NewLogin, observer: CountingObserver
) -> None:
    login = new_login(account)
    first = await authorized(login)
    keystone.revoke(token(first))
    assert keystone.validate(token(first)) == 404
    assert await login.renew(first)
    second = await authorized(login)
    assert keystone.validate(token(second)) == 200
    assert observer.refreshed == 2


async def test_renewal_fails_after_a_password_change(
    keystone: Keystone, new_login: NewLogin, observer: CountingObserver
) -> None:
    account = keystone.create_account()
    login = new_login(account)
    request = await authorized(login)
    keystone.change_password(account, "other")
    assert keystone.validate(token(request)) == 404
    for _ in range(2):
        with pytest.raises(LoginFailedError, match="IAM refused the login of user"):
            await login.renew(request)
    with pytest.raises(LoginFailedError, match="IAM refused the login of user"):
        await authorized(login)
    assert observer.failed == 1


async def test_a_wrong_password_does_not_lock_the_account(
    keystone: Keystone, new_login: NewLogin, observer: CountingObserver, clock: "FakeClock"
) -> None:
    account = keystone.create_account()
    login = new_login(account, "wrong", clock)
    refused = r"check username, password, domain and project_id, .* \(401\)"
    for _ in range(3 * 60):
        with pytest.raises(LoginFailedError, match=refused):
            await authorized(login)
        await clock.advance(60)
    assert observer.failed == 4 < LOCKED_AFTER
    await authorized(new_login(account))


async def test_keystone_locks_the_account_after_more_wrong_passwords(
    keystone: Keystone, new_login: NewLogin
) -> None:
    account = keystone.create_account()
    for _ in range(LOCKED_AFTER):
        with pytest.raises(LoginFailedError):
            await authorized(new_login(account, "wrong"))
    with pytest.raises(LoginFailedError, match="401"):
        await authorized(new_login(account))
