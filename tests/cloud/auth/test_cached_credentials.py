"""Tests of restoring credentials after a restart: by whom, and for how long."""

import asyncio
import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cloud.auth.agency import AgencyLogin
from exporter.cloud.auth.cached_credentials import CachedCredentials
from exporter.cloud.auth.lockout import Lockout
from exporter.cloud.auth.password import PasswordLogin
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import AgencyAuth, PasswordAuth
from exporter.config.secret import Secret
from tests.cloud.auth.fake_iam import CountingObserver, FakeIam, api_request, iso, response

if TYPE_CHECKING:
    from tests.conftest import FakeClock

AUTH = PasswordAuth("https://iam.example", "monitor", Secret("right"), "my-account")
DAY = 86_400.0


class Exporter:
    """Creates the login of an exporter that starts, and of one that restarts."""

    def __init__(self, iam: FakeIam, observer: CountingObserver, clock: "FakeClock") -> None:
        self.iam = iam
        self.observer = observer
        self.clock = clock

    def login(
        self, saved: str | None = None, auth: PasswordAuth = AUTH, project_id: str = "0123"
    ) -> PasswordLogin:
        login = PasswordLogin(
            auth,
            project_id,
            send=self.iam,
            lockout=Lockout(self.clock),
            observer=self.observer,
            clock=self.clock,
        )
        if saved is not None:
            login.restore(saved)
        return login

    async def saved_login(self) -> str:
        login = self.login()
        await token_of(login)
        saved = await login.snapshot()
        assert saved is not None
        return saved


@pytest.fixture
def exporter(iam: FakeIam, observer: CountingObserver, clock: "FakeClock") -> Exporter:
    return Exporter(iam, observer, clock)


async def token_of(login: PasswordLogin) -> str:
    request = api_request()
    await login.authorize(request)
    return str(request.headers["x-auth-token"])


async def test_a_restart_does_not_log_in_again(exporter: Exporter) -> None:
    saved = await exporter.saved_login()
    await exporter.clock.advance(3600)
    login = exporter.login(saved)
    assert await token_of(login) == "token-1"
    assert len(exporter.iam.requests) == 1
    assert exporter.observer.refreshed == 1
    assert login.expires_at == pytest.approx(exporter.clock.time() - 3600 + DAY, abs=2)


async def test_restored_credentials_are_saved_again(exporter: Exporter) -> None:
    saved = await exporter.saved_login()
    login = exporter.login(saved)
    assert await login.snapshot() == saved
    await token_of(login)
    assert await login.snapshot() == saved


@pytest.mark.parametrize(
    ("auth", "project_id"),
    [
        (replace(AUTH, password=Secret("another")), "0123"),
        (replace(AUTH, username="other"), "0123"),
        (replace(AUTH, domain="other"), "0123"),
        (replace(AUTH, iam_endpoint="https://other.example"), "0123"),
        (AUTH, "4567"),
    ],
    ids=["password", "user", "domain", "endpoint", "project"],
)
async def test_credentials_of_another_account_or_password_are_not_used(
    exporter: Exporter, auth: PasswordAuth, project_id: str
) -> None:
    saved = await exporter.saved_login()
    exporter.iam.password = auth.password.reveal()
    login = exporter.login(saved, auth, project_id)
    assert await token_of(login) == "token-2"
    renewed = await login.snapshot()
    assert renewed is not None
    assert "token-1" not in renewed


async def test_expired_credentials_are_not_used(exporter: Exporter) -> None:
    saved = await exporter.saved_login()
    await exporter.clock.advance(DAY)
    login = exporter.login(saved)
    assert await token_of(login) == "token-2"


async def test_restored_credentials_are_refreshed_before_they_expire(exporter: Exporter) -> None:
    saved = await exporter.saved_login()
    await exporter.clock.advance(DAY - 1200)
    login = exporter.login(saved)
    assert await token_of(login) == "token-1"
    assert await token_of(login) == "token-1"
    await exporter.clock.advance(1)
    assert await token_of(login) == "token-2"


async def test_credentials_from_the_future_are_not_used(
    exporter: Exporter, iam: FakeIam, observer: CountingObserver
) -> None:
    saved = await exporter.saved_login()
    earlier = Exporter(iam, observer, type(exporter.clock)(exporter.clock.time() - 3600))
    assert await token_of(earlier.login(saved)) == "token-2"


async def test_revoked_credentials_are_renewed(exporter: Exporter) -> None:
    login = exporter.login(await exporter.saved_login())
    request = api_request()
    await login.authorize(request)
    assert await login.renew(request)
    assert await token_of(login) == "token-2"


async def test_concurrent_requests_wait_for_one_check(exporter: Exporter) -> None:
    login = exporter.login(await exporter.saved_login())
    tokens = await asyncio.gather(*(token_of(login) for _ in range(20)))
    assert set(tokens) == {"token-1"}
    assert len(exporter.iam.requests) == 1


async def test_nothing_is_saved_before_the_first_login_or_after_expiry(
    exporter: Exporter,
) -> None:
    login = exporter.login()
    assert await login.snapshot() is None
    await token_of(login)
    await exporter.clock.advance(DAY)
    assert await login.snapshot() is None


async def test_saved_text_contains_neither_the_password_nor_a_fast_digest_of_it(
    exporter: Exporter,
) -> None:
    saved, other = await exporter.saved_login(), await exporter.saved_login()
    assert "right" not in saved
    for name in ("md5", "sha1", "sha256", "sha512"):
        assert hashlib.new(name, b"right").hexdigest() not in saved
    seals = [
        cached.seal for text in (saved, other) if (cached := CachedCredentials.from_json(text))
    ]
    assert len(set(seals)) == 2


def test_checking_a_guess_is_slow() -> None:
    cached = CachedCredentials.of("token", b"owner", expires_at=0.0, obtained_at=0.0, lifetime=1.0)
    started = time.process_time()
    assert not cached.is_of(b"guess")
    assert time.process_time() - started > 0.01
    assert cached.is_of(b"owner")


@given(st.text() | st.dictionaries(st.sampled_from(["value", "salt", "seal"]), st.text()).map(str))
def test_invalid_text_is_not_cached_credentials(text: str) -> None:
    assert CachedCredentials.from_json(text) is None


@pytest.mark.parametrize("saved", ["", "{}", "null", "[" * 100_000])
async def test_a_login_starts_without_credentials_if_the_saved_text_is_invalid(
    exporter: Exporter, saved: str
) -> None:
    assert await token_of(exporter.login(saved)) == "token-1"


async def test_the_keys_of_an_agency_are_saved_too(
    clock: "FakeClock", observer: CountingObserver
) -> None:
    requests: list[httpx.Request] = []

    async def metadata(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if request.method == "PUT":
            return response(404, {})
        keys = {"access": f"AK{len(requests)}", "secret": "SK", "securitytoken": "ST"}
        return response(200, {"credential": keys | {"expires_at": iso(clock.time() + 3600)}})

    def login(endpoint: str = "http://169.254.169.254") -> AgencyLogin:
        return AgencyLogin(
            AgencyAuth(endpoint), "0123", fetch=metadata, observer=observer, clock=clock
        )

    async def access_key(login: AgencyLogin) -> str:
        request = api_request()
        await login.authorize(request)
        return str(request.headers["authorization"]).partition("Access=")[2].partition(",")[0]

    first = login()
    key = await access_key(first)
    saved = await first.snapshot()
    assert saved is not None
    restarted = login()
    restarted.restore(saved)
    assert await access_key(restarted) == key
    other_endpoint = login("http://127.0.0.1:1")
    other_endpoint.restore(saved)
    assert await access_key(other_endpoint) != key
    await clock.advance(3600)
    expired = login()
    expired.restore(saved)
    assert await access_key(expired) != key


async def test_a_lockout_also_stops_a_login_with_unusable_saved_credentials(
    exporter: Exporter,
) -> None:
    saved = await exporter.saved_login()
    wrong = replace(AUTH, password=Secret("wrong"))
    login = exporter.login(saved, wrong)
    for _ in range(2):
        with pytest.raises(LoginFailedError):
            await token_of(login)
    assert len(exporter.iam.requests) == 2
