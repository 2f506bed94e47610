"""Tests of the AK/SK login: signs, uses rotated keys, stops before the key is locked."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.cloud.auth.aksk import AkskLogin
from exporter.cloud.auth.lockout import Lockouts
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import AkskAuth
from exporter.config.secret import Secret
from tests.cloud.auth.fake_iam import CountingObserver, api_request

if TYPE_CHECKING:
    from tests.conftest import FakeClock


@pytest.fixture
def secret_key(tmp_path: Path) -> Path:
    """Return the secret key file."""
    file = tmp_path / "secret_key"
    file.write_text("SKEXAMPLE\n")
    return file


@pytest.fixture
def new_login(
    secret_key: Path, observer: CountingObserver, clock: "FakeClock"
) -> Callable[..., AkskLogin]:
    """Return a function that creates a login with an access key and a security token."""
    lockouts = Lockouts(clock)

    def make(access_key: str = "AKEXAMPLE", security_token: Secret | None = None) -> AkskLogin:
        auth = AkskAuth(Secret(access_key), Secret(file=secret_key), security_token)
        lockout = lockouts.for_keys("https://api.example", auth)
        return AkskLogin(auth, "0123", lockout=lockout, observer=observer, clock=clock)

    return make


@pytest.fixture
def login(new_login: Callable[..., AkskLogin]) -> AkskLogin:
    """Return a login with a valid key pair."""
    return new_login()


async def signed(login: AkskLogin, server_id: str = "") -> httpx.Request:
    request = api_request(server_id)
    await login.authorize(request)
    return request


async def test_signs_each_request_with_the_date(login: AkskLogin, clock: "FakeClock") -> None:
    first = await signed(login)
    await clock.advance(1)
    second = await signed(login)
    assert first.headers["x-sdk-date"] == "20270115T080000Z"
    assert second.headers["x-sdk-date"] == "20270115T080001Z"
    assert first.headers["authorization"] != second.headers["authorization"]
    assert first.headers["x-project-id"] == "0123"
    assert "x-security-token" not in first.headers
    assert login.expires_at is None


async def test_signing_again_replaces_the_previous_signature(
    login: AkskLogin, clock: "FakeClock"
) -> None:
    request = await signed(login)
    request.headers["x-security-token"] = "OLD"
    await clock.advance(1)
    await login.authorize(request)
    assert request.headers == (await signed(login)).headers


async def test_sends_the_security_token_of_temporary_keys(
    new_login: Callable[..., AkskLogin],
) -> None:
    request = await signed(new_login(security_token=Secret("SECTOK")))
    assert request.headers["x-security-token"] == "SECTOK"
    assert "x-sdk-date;x-security-token" in request.headers["authorization"]


@pytest.mark.parametrize("access_key", ["AK EXAMPLE", "AK\r\nX: y", "A" * 65537, "\u00e9"])
async def test_keys_that_no_header_can_carry_are_an_error(
    new_login: Callable[..., AkskLogin], access_key: str
) -> None:
    with pytest.raises(LoginFailedError, match="the access key") as caught:
        await signed(new_login(access_key))
    assert access_key not in str(caught.value)


async def test_an_unreadable_key_file_is_an_error(
    login: AkskLogin, secret_key: Path, observer: CountingObserver
) -> None:
    request = await signed(login)
    secret_key.unlink()
    with pytest.raises(LoginFailedError, match="cannot read secret file"):
        await signed(login)
    assert observer.failed == 1
    assert not await login.renew(request)


class TestRejectedSignatures:
    async def test_are_retried_only_after_the_keys_have_changed(
        self, login: AkskLogin, secret_key: Path, observer: CountingObserver
    ) -> None:
        request = await signed(login)
        assert not await login.renew(request)
        secret_key.write_text("OTHER")
        assert await login.renew(request)
        assert not await login.renew(await signed(login))
        assert observer.failed == 2

    async def test_stop_requests_after_three_in_a_row(
        self, login: AkskLogin, clock: "FakeClock"
    ) -> None:
        for _ in range(3):
            await login.renew(await signed(login))
            await clock.advance(1)
        with pytest.raises(LoginFailedError) as caught:
            await signed(login)
        assert str(caught.value) == (
            "the API rejected several signatures in a row: check the keys, and that this machine's "
            "clock is right; failing since 2027-01-15T08:00:02Z, "
            "next attempt at 2027-01-15T08:01:02Z"
        )

    async def test_allow_one_test_request_at_intervals(
        self, login: AkskLogin, clock: "FakeClock"
    ) -> None:
        started = clock.monotonic()
        signed_at = []
        for _ in range(1500):
            for _ in range(3):
                try:
                    request = await signed(login)
                except LoginFailedError:
                    continue
                signed_at.append(clock.monotonic() - started)
                await login.renew(request)
            await clock.advance(1)
        assert signed_at == [0, 0, 0, 60, 180, 420, 720, 1020, 1320]

    async def test_of_requests_sent_before_the_lockout_do_not_extend_it(
        self, login: AkskLogin, clock: "FakeClock"
    ) -> None:
        requests = [await signed(login) for _ in range(10)]
        for request in requests:
            await login.renew(request)
        await clock.advance(60)
        await signed(login, "another")
        with pytest.raises(LoginFailedError, match="next attempt at 2027-01-15T08:02:00Z"):
            await signed(login)

    async def test_are_counted_together_for_all_projects_with_the_same_key(
        self, new_login: Callable[..., AkskLogin]
    ) -> None:
        # Two projects, one of them rebuilt by a reload.
        for login in (new_login(), new_login(), new_login()):
            await login.renew(await signed(login))
        with pytest.raises(LoginFailedError):
            await signed(new_login())
        await signed(new_login("ANOTHER"))

    async def test_are_forgotten_after_an_accepted_one(self, login: AkskLogin) -> None:
        for _ in range(5):
            await login.renew(await signed(login))
            await login.renew(await signed(login))
            login.accepted(await signed(login))

    async def test_do_not_stop_other_keys(self, login: AkskLogin, secret_key: Path) -> None:
        for _ in range(3):
            await login.renew(await signed(login))
        secret_key.write_text("OTHER")
        await signed(login)


async def test_no_secret_is_in_the_repr_or_vars(login: AkskLogin) -> None:
    await signed(login)
    shown = f"{login!r} {vars(login)!r} {vars(login._signer)!r}"  # noqa: SLF001
    assert "SKEXAMPLE" not in shown
    assert "AKEXAMPLE" not in shown
