"""Logins across a restart: who may use what was kept, and for how long."""

import asyncio
import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

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
from exporter.http.request import Request
from exporter.http.response import Response
from tests.cloud.auth.fake_iam import FakeIam, Observed, answer, api_request, iso

if TYPE_CHECKING:
    from tests.conftest import MovedClock

AUTH = PasswordAuth("https://iam.example", "monitor", Secret("right"), "my-account")
DAY = 86_400.0


class Restarted:
    """Makes the login of a program that starts, and starts again."""

    def __init__(self, iam: FakeIam, observed: Observed, clock: "MovedClock") -> None:
        self.iam = iam
        self.observed = observed
        self.clock = clock

    def login(
        self, kept: str | None = None, auth: PasswordAuth = AUTH, project_id: str = "0123"
    ) -> PasswordLogin:
        login = PasswordLogin(
            auth,
            project_id,
            send=self.iam,
            lockout=Lockout(self.clock),
            observer=self.observed,
            clock=self.clock,
        )
        if kept is not None:
            login.restore(kept)
        return login

    async def kept(self) -> str:
        login = self.login()
        await token_of(login)
        kept = await login.snapshot()
        assert kept is not None
        return kept


@pytest.fixture
def program(iam: FakeIam, observed: Observed, clock: "MovedClock") -> Restarted:
    return Restarted(iam, observed, clock)


async def token_of(login: PasswordLogin) -> str:
    request = api_request()
    await login.authorize(request)
    return str(request.headers["x-auth-token"])


async def test_a_restart_does_not_log_in_anew(program: Restarted) -> None:
    kept = await program.kept()
    await program.clock.advance(3600)
    login = program.login(kept)
    assert await token_of(login) == "token-1"
    assert len(program.iam.requests) == 1
    assert program.observed.refreshed == 1
    assert login.expires_at == pytest.approx(program.clock.time() - 3600 + DAY, abs=2)


async def test_what_was_kept_is_kept_on(program: Restarted) -> None:
    kept = await program.kept()
    login = program.login(kept)
    assert await login.snapshot() == kept
    await token_of(login)
    assert await login.snapshot() == kept


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
async def test_a_login_of_another_account_or_password_is_not_used(
    program: Restarted, auth: PasswordAuth, project_id: str
) -> None:
    kept = await program.kept()
    program.iam.password = auth.password.reveal()
    login = program.login(kept, auth, project_id)
    assert await token_of(login) == "token-2"
    renewed = await login.snapshot()
    assert renewed is not None
    assert "token-1" not in renewed


async def test_one_that_has_ended_is_not_used(program: Restarted) -> None:
    kept = await program.kept()
    await program.clock.advance(DAY)
    login = program.login(kept)
    assert await token_of(login) == "token-2"


async def test_one_near_its_end_is_renewed_ahead_as_without_a_restart(program: Restarted) -> None:
    kept = await program.kept()
    await program.clock.advance(DAY - 1200)
    login = program.login(kept)
    assert await token_of(login) == "token-1"
    assert await token_of(login) == "token-1"
    await program.clock.advance(1)
    assert await token_of(login) == "token-2"


async def test_one_from_the_future_is_not_used(
    program: Restarted, iam: FakeIam, observed: Observed
) -> None:
    kept = await program.kept()
    early = Restarted(iam, observed, type(program.clock)(program.clock.time() - 3600))
    assert await token_of(early.login(kept)) == "token-2"


async def test_one_that_the_cloud_has_revoked_is_renewed(program: Restarted) -> None:
    login = program.login(await program.kept())
    request = api_request()
    await login.authorize(request)
    assert await login.renew(request)
    assert await token_of(login) == "token-2"


async def test_all_who_wait_at_the_start_wait_for_one_check(program: Restarted) -> None:
    login = program.login(await program.kept())
    tokens = await asyncio.gather(*(token_of(login) for _ in range(20)))
    assert set(tokens) == {"token-1"}
    assert len(program.iam.requests) == 1


async def test_nothing_is_kept_before_the_first_login_nor_after_its_end(
    program: Restarted,
) -> None:
    login = program.login()
    assert await login.snapshot() is None
    await token_of(login)
    await program.clock.advance(DAY)
    assert await login.snapshot() is None


async def test_what_is_kept_holds_neither_the_password_nor_a_quick_digest_of_it(
    program: Restarted,
) -> None:
    kept, other = await program.kept(), await program.kept()
    assert "right" not in kept
    for name in ("md5", "sha1", "sha256", "sha512"):
        assert hashlib.new(name, b"right").hexdigest() not in kept
    seals = [cached.seal for text in (kept, other) if (cached := CachedCredentials.from_json(text))]
    assert len(set(seals)) == 2


def test_a_guess_takes_long() -> None:
    cached = CachedCredentials.of("token", b"owner", expires_at=0.0, obtained_at=0.0, lifetime=1.0)
    started = time.process_time()
    assert not cached.is_of(b"guess")
    assert time.process_time() - started > 0.01
    assert cached.is_of(b"owner")


@given(st.text() | st.dictionaries(st.sampled_from(["value", "salt", "seal"]), st.text()).map(str))
def test_what_is_no_keepsake_is_none(text: str) -> None:
    assert CachedCredentials.from_json(text) is None


@pytest.mark.parametrize("kept", ["", "{}", "null", "[" * 100_000])
async def test_a_login_begins_with_nothing_where_what_was_kept_is_none(
    program: Restarted, kept: str
) -> None:
    assert await token_of(program.login(kept)) == "token-1"


async def test_an_agencys_keys_are_kept_too(clock: "MovedClock", observed: Observed) -> None:
    asked: list[Request] = []

    async def metadata(request: Request) -> Response:
        asked.append(request)
        if request.method == "PUT":
            return answer(404, {})
        keys = {"access": f"AK{len(asked)}", "secret": "SK", "securitytoken": "ST"}
        return answer(200, {"credential": keys | {"expires_at": iso(clock.time() + 3600)}})

    def login(endpoint: str = "http://169.254.169.254") -> AgencyLogin:
        return AgencyLogin(
            AgencyAuth(endpoint), "0123", fetch=metadata, observer=observed, clock=clock
        )

    async def access_key(subject: AgencyLogin) -> str:
        request = api_request()
        await subject.authorize(request)
        return str(request.headers["authorization"]).partition("Access=")[2].partition(",")[0]

    first = login()
    key = await access_key(first)
    kept = await first.snapshot()
    assert kept is not None
    again = login()
    again.restore(kept)
    assert await access_key(again) == key
    elsewhere = login("http://127.0.0.1:1")
    elsewhere.restore(kept)
    assert await access_key(elsewhere) != key
    await clock.advance(3600)
    late = login()
    late.restore(kept)
    assert await access_key(late) != key


async def test_the_lock_on_an_account_holds_for_one_whose_kept_login_is_of_no_use(
    program: Restarted,
) -> None:
    kept = await program.kept()
    wrong = replace(AUTH, password=Secret("wrong"))
    login = program.login(kept, wrong)
    for _ in range(2):
        with pytest.raises(LoginFailedError):
            await token_of(login)
    assert len(program.iam.requests) == 2
