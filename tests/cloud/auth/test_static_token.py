"""Tests of the login with a given token."""

from pathlib import Path

import httpx
import pytest

from exporter.cloud.auth.static_token import StaticTokenLogin
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import TokenAuth
from exporter.config.secret import Secret
from tests.cloud.auth.fake_iam import CountingObserver, api_request


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """Return the token file."""
    file = tmp_path / "token"
    file.write_text("first\n")
    return file


@pytest.fixture
def login(token: Path, observer: CountingObserver) -> StaticTokenLogin:
    """Return a login with the token file."""
    return StaticTokenLogin(TokenAuth(Secret(file=token)), observer=observer)


async def authorized(login: StaticTokenLogin) -> httpx.Request:
    request = api_request()
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
    await login.renew(request)
    assert observer.failed == 2


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
