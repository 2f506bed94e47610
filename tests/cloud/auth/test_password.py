"""Tests of the password login: requests, caching, renewal and backoff."""

import asyncio
import gc
import gzip
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import SystemClock
from exporter.cloud.auth import Lockouts, login_for
from exporter.cloud.auth.login import Login
from exporter.cloud.auth.password import PasswordLogin, PasswordSource
from exporter.cloud.client import login_sender
from exporter.cloud.errors import LoginFailedError
from exporter.cloud.observer import Unobserved
from exporter.config.config import PasswordAuth, Project, Tls
from exporter.config.secret import Secret
from exporter.http.errors import NoResponse, NoResponseError
from exporter.http.transport import WireTransport
from tests.cloud.auth.fake_iam import (
    CountingObserver,
    FakeIam,
    api_request,
    created,
    iso,
    response,
)
from tests.http.responses import received
from tests.real import cloud_responses as cloud
from tests.real.broken_responses import answers
from tests.real.broken_servers import BrokenServer

if TYPE_CHECKING:
    from tests.conftest import FakeClock

NewLogin = Callable[..., Login]

RIGHT = Secret("right")


@pytest.fixture
def new_login(iam: FakeIam, observer: CountingObserver, clock: "FakeClock") -> NewLogin:
    """Return a function that creates a login with a password."""

    def make(password: Secret = RIGHT, lockouts: Lockouts | None = None) -> Login:
        project = Project(
            name="p",
            region="r",
            project_id="0123",
            endpoint="https://clouddc.example",
            auth=PasswordAuth("https://iam.example", "monitor", password, "my-account"),
            timeout=10,
        )
        return login_for(
            project, send=iam, fetch=iam, observer=observer, clock=clock, lockouts=lockouts
        )

    return make


async def token_of(login: Login) -> str:
    request = api_request()
    await login.authorize(request)
    return str(request.headers["x-auth-token"])


async def rejected_by_api(login: Login, server_id: str = "") -> bool:
    request = api_request(server_id)
    await login.authorize(request)
    return await login.renew(request)


class TestLoggingIn:
    async def test_requests_a_token_of_the_project(self, new_login: NewLogin, iam: FakeIam) -> None:
        await token_of(new_login())
        request = iam.requests[0]
        assert (request.method, str(request.url)) == (
            "POST",
            "https://iam.example/v3/auth/tokens?nocatalog=true",
        )
        assert json.loads(request.content) == {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {
                        "user": {
                            "name": "monitor",
                            "password": "right",
                            "domain": {"name": "my-account"},
                        }
                    },
                },
                "scope": {"project": {"id": "0123"}},
            }
        }

    async def test_caches_the_token(
        self, new_login: NewLogin, iam: FakeIam, observer: CountingObserver, clock: "FakeClock"
    ) -> None:
        login = new_login()
        assert login.expires_at is None
        assert [await token_of(login) for _ in range(3)] == ["token-1"] * 3
        assert len(iam.requests) == observer.refreshed == 1
        assert login.expires_at == clock.time() + 86400

    async def test_logs_in_once_for_concurrent_requests(
        self, new_login: NewLogin, iam: FakeIam
    ) -> None:
        iam.hold = asyncio.Event()
        login = new_login()
        waiting = [asyncio.create_task(token_of(login)) for _ in range(50)]
        await asyncio.sleep(0.01)
        iam.hold.set()
        assert set(await asyncio.gather(*waiting)) == {"token-1"}
        assert len(iam.requests) == 1

    async def test_continues_when_the_first_caller_is_cancelled(
        self, new_login: NewLogin, iam: FakeIam
    ) -> None:
        iam.hold = asyncio.Event()
        login = new_login()
        first, second = (asyncio.create_task(token_of(login)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        iam.hold.set()
        assert await second == "token-1"
        assert len(iam.requests) == 1

    async def test_raises_a_failure_in_all_waiting_callers(
        self, new_login: NewLogin, iam: FakeIam, observer: CountingObserver
    ) -> None:
        iam.down = NoResponseError(NoResponse.CONNECT, "cannot connect to iam.example:443")
        login = new_login()
        results = await asyncio.gather(
            *(token_of(login) for _ in range(20)), return_exceptions=True
        )
        assert all(isinstance(result, LoginFailedError) for result in results)
        assert len({id(result) for result in results}) == 20
        assert len(iam.requests) == observer.failed == 1

    async def test_raises_an_internal_error_in_all_waiting_callers(
        self, new_login: NewLogin, iam: FakeIam
    ) -> None:
        iam.down = ZeroDivisionError()
        login = new_login()
        results = await asyncio.gather(token_of(login), token_of(login), return_exceptions=True)
        assert [type(result) for result in results] == [ZeroDivisionError] * 2


class TestRefreshing:
    @pytest.mark.parametrize(
        ("lifetime", "ahead"), [(86400, 1800), (3600, 360), (600, 60)], ids=["day", "hour", "10m"]
    )
    async def test_refreshes_in_the_background_while_the_token_is_used(
        self,
        new_login: NewLogin,
        iam: FakeIam,
        clock: "FakeClock",
        lifetime: float,
        ahead: float,
    ) -> None:
        iam.lifetime = lifetime
        login = new_login()
        await token_of(login)
        await clock.advance(lifetime - ahead - 5)
        assert await token_of(login) == "token-1"
        assert len(iam.requests) == 1
        await clock.advance(5)
        assert await token_of(login) == "token-1"
        await clock.advance(0)
        assert await token_of(login) == "token-2"
        assert len(iam.requests) == 2

    async def test_retries_later_after_a_failure_in_the_background(
        self, new_login: NewLogin, iam: FakeIam, observer: CountingObserver, clock: "FakeClock"
    ) -> None:
        login = new_login()
        await token_of(login)
        await clock.advance(86400 - 1800)
        iam.down = NoResponseError(NoResponse.TIMEOUT, "too slow")
        for _ in range(600):
            assert await token_of(login) == "token-1"
            await clock.advance(1)
        # At 0, 2, 6, 14, 30, 62 s, and then every minute.
        assert len(iam.requests) == 1 + observer.failed == 1 + 6 + 8
        iam.down = None
        await clock.advance(60)
        await token_of(login)
        await clock.advance(0)
        assert await token_of(login) == f"token-{len(iam.requests)}"

    async def test_does_not_send_an_expired_token(
        self, new_login: NewLogin, iam: FakeIam, clock: "FakeClock"
    ) -> None:
        login = new_login()
        await token_of(login)
        await clock.advance(86400)
        assert await token_of(login) == "token-2"
        await clock.advance(86400)
        iam.down = NoResponseError(NoResponse.TIMEOUT, "too slow")
        with pytest.raises(LoginFailedError, match="too slow"):
            await token_of(login)

    @pytest.mark.parametrize("skew", [-7200.0, 7200.0])
    async def test_measures_the_lifetime_by_the_clouds_clock(
        self, new_login: NewLogin, iam: FakeIam, clock: "FakeClock", skew: float
    ) -> None:
        iam.lifetime, iam.skew = 3600, skew
        login = new_login()
        await token_of(login)
        await clock.advance(3600 - 370)
        assert await token_of(login) == "token-1"
        assert len(iam.requests) == 1
        await clock.advance(370)
        assert await token_of(login) == "token-2"


class TestRenewing:
    async def test_logs_in_again_when_the_token_is_rejected(
        self, new_login: NewLogin, iam: FakeIam
    ) -> None:
        login = new_login()
        assert await rejected_by_api(login)
        assert await token_of(login) == "token-2"
        assert len(iam.requests) == 2

    async def test_uses_the_current_token_when_an_older_one_was_rejected(
        self, new_login: NewLogin, iam: FakeIam
    ) -> None:
        login = new_login()
        old = api_request()
        await login.authorize(old)
        await login.renew(old)
        assert await login.renew(old)
        assert len(iam.requests) == 2

    async def test_logs_in_once_for_many_rejected_requests(
        self, new_login: NewLogin, iam: FakeIam
    ) -> None:
        login = new_login()
        requests = [api_request() for _ in range(20)]
        for request in requests:
            await login.authorize(request)
        iam.hold = asyncio.Event()
        waiting = [asyncio.ensure_future(login.renew(request)) for request in requests]
        await asyncio.sleep(0.01)
        iam.hold.set()
        assert all(await asyncio.gather(*waiting))
        assert len(iam.requests) == 2

    async def test_renews_an_accepted_token_every_time_it_is_revoked(
        self, new_login: NewLogin, iam: FakeIam
    ) -> None:
        login = new_login()
        for _ in range(5):
            request = api_request()
            await login.authorize(request)
            for _ in range(200):
                login.accepted(request)
            assert await login.renew(request)
        assert len(iam.requests) == 6

    async def test_backs_off_to_five_minutes_when_new_tokens_are_rejected(
        self, new_login: NewLogin, iam: FakeIam, observer: CountingObserver, clock: "FakeClock"
    ) -> None:
        login = new_login()
        started = clock.monotonic()
        logged_in_at = []
        for number in range(3000):
            before = len(iam.requests)
            with suppress(LoginFailedError):
                if await rejected_by_api(login, str(number)):
                    assert not await rejected_by_api(login, str(number))
            if len(iam.requests) > before:
                logged_in_at.append(clock.monotonic() - started)
            await clock.advance(1)
        assert logged_in_at[:5] == [0, 120, 360, 660, 960]
        assert observer.failed == len(logged_in_at)

    async def test_does_not_repeat_a_request_while_iam_does_not_answer(
        self, new_login: NewLogin, iam: FakeIam, clock: "FakeClock"
    ) -> None:
        login = new_login()
        await token_of(login)
        iam.down = NoResponseError(NoResponse.TIMEOUT, "too slow")
        for _ in range(2):
            with pytest.raises(LoginFailedError, match="too slow"):
                await rejected_by_api(login)
        assert len(iam.requests) == 2
        iam.down = None
        await clock.advance(2)
        assert await token_of(login) == "token-3"


class TestRejectedPassword:
    async def test_is_tried_twice_an_hour_at_most(
        self, new_login: NewLogin, iam: FakeIam, clock: "FakeClock"
    ) -> None:
        login = new_login(Secret("wrong"))
        started = clock.monotonic()
        for _ in range(1290):
            with pytest.raises(LoginFailedError):
                await token_of(login)
            await clock.advance(10)
        assert [at - started for at in iam.rejected_at] == [0, 1830, 5490, 9150, 12810]
        assert iam.rejected_within(3600) == 2

    async def test_error_names_problem_start_and_next_attempt(
        self, new_login: NewLogin, clock: "FakeClock"
    ) -> None:
        login = new_login(Secret("wrong"))
        refused = (
            "IAM refused the login of user 'monitor': check username, password, domain and "
            "project_id, and that the account is not locked (401)"
        )
        for at in ("", "08:30:30", "", "09:31:30"):
            with pytest.raises(LoginFailedError) as caught:
                await token_of(login)
            waits = (
                f"; failing since 2027-01-15T08:00:00Z, next attempt at 2027-01-15T{at}Z or when "
                "the password changes"
            )
            assert str(caught.value) == refused + (waits if at else "")
            await clock.advance(915)

    @pytest.mark.usefixtures("no_collector")
    async def test_creates_no_reference_cycles_in_waiting_callers(
        self, new_login: NewLogin
    ) -> None:
        login = new_login(Secret("wrong"))
        for _ in range(3):
            with suppress(LoginFailedError):
                await token_of(login)
        # The last error is kept for the next caller, but without a traceback.
        errors = [found for found in gc.get_objects() if isinstance(found, LoginFailedError)]
        assert [error.__traceback__ for error in errors] == [None] * len(errors)

    async def test_is_tried_at_once_when_it_changes(
        self, new_login: NewLogin, iam: FakeIam, tmp_path: Path
    ) -> None:
        file = tmp_path / "password"
        file.write_text("wrong")
        login = new_login(Secret(file=file))
        with pytest.raises(LoginFailedError):
            await token_of(login)
        file.write_text("right\n")
        assert await token_of(login) == "token-2"
        assert len(iam.requests) == 2

    async def test_does_not_lock_the_account_when_it_changes_often(
        self, new_login: NewLogin, iam: FakeIam, clock: "FakeClock", tmp_path: Path
    ) -> None:
        file = tmp_path / "password"
        login = new_login(Secret(file=file))
        for number in range(200):
            file.write_text(f"wrong {number}")
            with pytest.raises(LoginFailedError):
                await token_of(login)
            await clock.advance(10)
        assert len(iam.rejected_at) == 12
        assert iam.rejected_within(900) == 4

    async def test_of_one_account_in_many_projects_does_not_lock_the_account(
        self, new_login: NewLogin, iam: FakeIam, clock: "FakeClock"
    ) -> None:
        lockouts = Lockouts(clock)
        logins = [new_login(Secret("wrong"), lockouts) for _ in range(8)]
        for _ in range(1200):
            results = await asyncio.gather(
                *(token_of(login) for login in logins), return_exceptions=True
            )
            assert all(isinstance(result, LoginFailedError) for result in results)
            await clock.advance(1)
        assert iam.rejected_within(3600) == 1

    @pytest.mark.parametrize(
        ("status", "next_attempt"),
        [(400, 120), (401, 1830), (403, 120), (404, 120), (302, 2), (429, 2), (500, 2), (503, 2)],
    )
    async def test_is_distinguished_from_other_failures(
        self,
        new_login: NewLogin,
        iam: FakeIam,
        clock: "FakeClock",
        status: int,
        next_attempt: float,
    ) -> None:
        iam.responses = [response(status, {"error_code": "IAM.0011", "error_msg": "right"})]
        login = new_login()
        with pytest.raises(LoginFailedError, match=f"{status} IAM.0011") as caught:
            await token_of(login)
        assert "right" not in str(caught.value)
        await clock.advance(next_attempt - 0.1)
        with pytest.raises(LoginFailedError):
            await token_of(login)
        await clock.advance(0.1)
        assert await token_of(login) == "token-2"

    async def test_that_cannot_be_read_is_an_error_and_read_again(
        self, new_login: NewLogin, iam: FakeIam, tmp_path: Path
    ) -> None:
        file = tmp_path / "password"
        login = new_login(Secret(file=file))
        with pytest.raises(LoginFailedError, match=r"cannot read secret file .*No such file"):
            await token_of(login)
        assert not iam.requests
        file.write_text("right")
        assert await token_of(login) == "token-1"

    async def test_with_a_lone_surrogate_is_an_error(self, new_login: NewLogin) -> None:
        with pytest.raises(LoginFailedError):
            await token_of(new_login(Secret("\udcff")))


TIME = 1_800_000_000.0


class TestInvalidResponses:
    @pytest.mark.parametrize(
        ("invalid", "message"),
        [
            (response(201, {"token": {"expires_at": iso(TIME + 9)}}), "the token .* is missing"),
            (created("t" * 65537, iso(TIME + 9)), "longer than 65536 bytes"),
            (created("a b", iso(TIME + 9)), "non-ASCII characters"),
            (created("t\u00e9", iso(TIME + 9)), "non-ASCII characters"),
            (created("t", None), "no valid expires_at"),
            (created("t", "soon"), "no valid expires_at"),
            (created("t", TIME), "no valid expires_at"),
            (response(201, [], {"x-subject-token": "t"}), "no valid expires_at"),
            (response(201, {"token": []}, {"x-subject-token": "t"}), "no valid expires_at"),
            (created("t", iso(TIME - 1)), "expired by this machine's clock: check the clock"),
            (created("t", iso(TIME - 1), date=TIME), "expired by the response's own Date"),
        ],
    )
    async def test_are_errors_that_name_the_problem(
        self, new_login: NewLogin, iam: FakeIam, invalid: httpx.Response, message: str
    ) -> None:
        iam.responses = [invalid]
        with pytest.raises(LoginFailedError, match=message):
            await token_of(new_login())

    @pytest.mark.parametrize(
        "expires_at",
        [
            "2027-01-15T09:00:00.000000Z",
            "2027-01-15T09:00:00.000Z",
            "2027-01-15T09:00:00Z",
            "2027-01-15T09:00:00",
            "2027-01-15T09:00:00+00:00",
            "2027-01-15T17:00:00+0800",
            "2027-01-15T09:00:00.000000000Z",
            "20270115T090000Z",
        ],
    )
    async def test_do_not_include_valid_time_formats(
        self, new_login: NewLogin, iam: FakeIam, expires_at: str
    ) -> None:
        iam.responses = [created("t", expires_at)]
        login = new_login()
        await token_of(login)
        assert login.expires_at == TIME + 3600

    @given(
        body=st.binary(max_size=50)
        | st.recursive(
            st.none() | st.text(max_size=9) | st.floats(),
            lambda inner: st.dictionaries(st.sampled_from(["token", "expires_at"]), inner),
        ).map(lambda value: json.dumps(value).encode()),
        token=st.binary(max_size=9),
        date=st.binary(max_size=9),
        status=st.sampled_from([200, 201]),
    )
    async def test_raise_no_other_error(
        self, body: bytes, token: bytes, date: bytes, status: int
    ) -> None:
        headers = httpx.Headers([(b"x-subject-token", token), (b"date", date)])
        iam = FakeIam(clock=FixedClock(), responses=[received(status, headers, body, 0.0)])
        login = PasswordLogin(
            PasswordAuth("https://iam.example", "monitor", Secret("right"), "my-account"),
            "0123",
            send=iam,
            lockout=Lockouts(iam.clock).for_account("", "", ""),
            observer=CountingObserver(),
            clock=iam.clock,
        )
        with pytest.raises(LoginFailedError):
            await login.authorize(api_request())


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("UTF-8", bytes),
        ("gzip, identity", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("deflate", zlib.compress),
    ],
)
async def test_a_compressed_token_response_is_read(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    ends = {"token": {"expires_at": "2100-01-01T00:00:00Z"}}
    token = cloud.response(
        201,
        pack(json.dumps(ends).encode()),
        Content_Encoding=encoding,
        X_Subject_Token="token-1",
    )
    wire = WireTransport(tls=Tls(), proxy_url=None, observer=Unobserved())
    async with BrokenServer(answers(token)) as server:
        source = PasswordSource(
            PasswordAuth(server.url, "monitor", RIGHT, "my-account"),
            "0123",
            send=login_sender(wire, 5.0),
            clock=SystemClock(),
        )
        credentials = await source.obtain()
        await wire.aclose()
    assert credentials.lifetime > 366 * 86_400


class FixedClock:
    def time(self) -> float:
        return TIME

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing should sleep {seconds} s here")


async def test_no_secret_is_in_the_repr_or_vars(new_login: NewLogin, iam: FakeIam) -> None:
    login = new_login()
    await token_of(login)
    assert await login.snapshot()
    renewal = login._credentials  # type: ignore[attr-defined]  # noqa: SLF001
    parts = (login, renewal, renewal.cache, renewal._current)  # noqa: SLF001
    shown = f"{parts!r} {[vars(part) for part in parts]!r}"
    assert "right" not in shown
    assert "token-1" not in shown
    assert iam.requests
