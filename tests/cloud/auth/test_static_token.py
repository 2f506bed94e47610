"""Tests of the login with a given token."""

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.cloud.auth.static_token import StaticTokenLogin
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import TokenAuth
from exporter.config.secret import Secret
from tests.cloud.auth.fake_iam import CountingObserver, api_request

if TYPE_CHECKING:
    from tests.conftest import FakeClock


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """Return the token file."""
    file = tmp_path / "token"
    file.write_text("first\n")
    return file


@pytest.fixture
def login(token: Path, observer: CountingObserver, clock: "FakeClock") -> StaticTokenLogin:
    """Return a login with the token file."""
    return StaticTokenLogin(TokenAuth(Secret(file=token)), observer=observer, clock=clock)


async def authorized(login: StaticTokenLogin, server_id: str = "") -> httpx.Request:
    request = api_request(server_id)
    await login.authorize(request)
    return request


async def test_sends_the_current_content_of_the_token_file(
    login: StaticTokenLogin, token: Path
) -> None:
    assert (await authorized(login)).headers["x-auth-token"] == "first"
    token.write_text("second")
    assert (await authorized(login)).headers["x-auth-token"] == "second"
    assert login.expires_at is None


async def test_a_rejected_request_is_repeated_only_with_another_token(
    login: StaticTokenLogin, token: Path, observer: CountingObserver
) -> None:
    rejected = await authorized(login)
    assert not await login.renew(rejected)
    assert not await login.renew(rejected)
    assert observer.failed == 1
    token.write_text("second")
    assert await login.renew(rejected)


async def test_counts_a_token_rejected_again_after_it_was_accepted(
    login: StaticTokenLogin, observer: CountingObserver
) -> None:
    request = await authorized(login)
    await login.renew(request)
    login.accepted(request)
    for _ in range(3):
        await login.renew(await authorized(login))
    assert observer.failed == 2


async def test_one_server_that_rejects_an_accepted_token_is_not_a_failed_login(
    login: StaticTokenLogin, observer: CountingObserver
) -> None:
    for _ in range(20):
        login.accepted(await authorized(login, "good"))
        for _ in range(2):
            assert not await login.renew(await authorized(login, "bad"))
    assert observer.failed == 0


async def test_a_rejected_token_is_sent_only_in_tests_until_it_changes(
    login: StaticTokenLogin, token: Path, clock: "FakeClock"
) -> None:
    for number in range(3):
        await login.renew(await authorized(login, f"server-{number}"))
    with pytest.raises(LoginFailedError, match="write a new one to token_file"):
        await authorized(login, "server-3")
    await clock.advance(60)
    login.accepted(await authorized(login, "server-3"))
    for _ in range(3):
        await login.renew(await authorized(login, "server-3"))
    with pytest.raises(LoginFailedError):
        await authorized(login, "server-4")
    token.write_text("second")
    assert (await authorized(login)).headers["x-auth-token"] == "second"


@pytest.mark.parametrize("content", ["two words", "t" * 65537, "line\nline", "\u00e9", ""])
async def test_an_invalid_token_is_an_error(
    login: StaticTokenLogin, token: Path, observer: CountingObserver, content: str
) -> None:
    rejected = await authorized(login)
    token.write_text(content)
    with pytest.raises(LoginFailedError) as caught:
        await authorized(login)
    assert not content or content not in str(caught.value)
    assert observer.failed == 1
    assert not await login.renew(rejected)
