"""Tests of the agency login: temporary keys from the metadata service."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from exporter.cloud.auth.agency import AgencyLogin
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import AgencyAuth
from exporter.http.errors import NoResponse, NoResponseError
from tests.cloud.auth.fake_iam import CountingObserver, api_request, iso, response
from tests.http.responses import received

if TYPE_CHECKING:
    from tests.conftest import FakeClock


@dataclass
class FakeMetadata:
    """A fake metadata service; attributes set its faults."""

    clock: "FakeClock"
    token_status: int = 200
    token: bytes = b"METATOKEN\n"
    keys: httpx.Response | None = None
    down: bool = False
    requests: list[httpx.Request] = field(default_factory=list)
    keys_given: int = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        if self.down:
            raise NoResponseError(NoResponse.CONNECT, "cannot connect to 169.254.169.254:80")
        if request.method == "PUT":
            return received(self.token_status, httpx.Headers(), self.token, 0.0)
        if self.keys is not None:
            return self.keys
        self.keys_given += 1
        return response(200, {"credential": credential(self.keys_given, self.clock.time() + 3600)})


def credential(number: int, expires_at: float) -> dict[str, Any]:
    """Return temporary keys that contain ``number``."""
    return {
        "access": f"AK{number}",
        "secret": f"SK{number}",
        "securitytoken": f"ST{number}",
        "expires_at": iso(expires_at),
    }


@pytest.fixture
def metadata(clock: "FakeClock") -> FakeMetadata:
    """Return a metadata service that works."""
    return FakeMetadata(clock)


@pytest.fixture
def login(metadata: FakeMetadata, observer: CountingObserver, clock: "FakeClock") -> AgencyLogin:
    """Return a login without keys yet."""
    auth = AgencyAuth("http://169.254.169.254")
    return AgencyLogin(auth, "0123", fetch=metadata, observer=observer, clock=clock)


async def signed(login: AgencyLogin) -> httpx.Request:
    request = api_request()
    await login.authorize(request)
    return request


async def security_token(login: AgencyLogin) -> str:
    return str((await signed(login)).headers["x-security-token"])


async def test_signs_with_the_keys_of_the_metadata_service(
    login: AgencyLogin, metadata: FakeMetadata, clock: "FakeClock"
) -> None:
    request = await signed(login)
    assert "Access=AK1, " in request.headers["authorization"]
    assert request.headers["x-security-token"] == "ST1"
    assert login.expires_at == clock.time() + 3600
    put, get = metadata.requests
    assert (put.method, put.url.path) == ("PUT", "/meta-data/latest/api/token")
    assert put.headers["x-metadata-token-ttl-seconds"] == "21600"
    assert (get.method, get.url.path) == ("GET", "/openstack/latest/securitykey")
    assert get.headers["x-metadata-token"] == "METATOKEN"


@pytest.mark.parametrize("status", [404, 405, 503])
async def test_sends_no_token_if_the_metadata_service_has_none(
    login: AgencyLogin, metadata: FakeMetadata, status: int
) -> None:
    metadata.token_status = status
    assert await security_token(login) == "ST1"
    assert "x-metadata-token" not in metadata.requests[1].headers


async def test_refreshes_the_keys_in_the_background_while_they_are_used(
    login: AgencyLogin, observer: CountingObserver, clock: "FakeClock"
) -> None:
    assert await security_token(login) == "ST1"
    await clock.advance(3600 - 361)
    assert await security_token(login) == "ST1"
    await clock.advance(1)
    assert await security_token(login) == "ST1"
    await clock.advance(0)
    assert await security_token(login) == "ST2"
    assert observer.refreshed == 2


async def test_fetches_new_keys_once_for_all_rejected_requests(
    login: AgencyLogin, metadata: FakeMetadata
) -> None:
    rejected = [await signed(login) for _ in range(5)]
    assert [await login.renew(request) for request in rejected] == [True] * 5
    assert await security_token(login) == "ST2"
    assert metadata.keys_given == 2


async def test_backs_off_when_new_keys_are_rejected_too(
    login: AgencyLogin, metadata: FakeMetadata, clock: "FakeClock"
) -> None:
    attempts, rejected = 0, 0
    for _ in range(600):
        for _ in range(2):
            try:
                request = await signed(login)
            except LoginFailedError:
                continue
            rejected += 1
            attempts += await login.renew(request)
        await clock.advance(1)
    # New keys at once, at 120 s and at 360 s: each is rejected ten times.
    assert attempts == 1
    assert metadata.keys_given == 4
    assert rejected == 1 + 10 + 10 + 10


async def test_renews_keys_again_after_they_were_accepted(
    login: AgencyLogin, metadata: FakeMetadata
) -> None:
    for _ in range(5):
        request = await signed(login)
        for _ in range(200):
            login.accepted(request)
        assert await login.renew(request)
    assert metadata.keys_given == 6


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (response(404), "check that an agency is bound"),
        (response(500), "request for keys with 500"),
        (response(200, []), "has no credential"),
        (response(200, {"credential": []}), "has no credential"),
        (response(200, {"credential": {}}), "access key of the metadata service is missing"),
        (
            response(200, {"credential": credential(1, 0) | {"access": "a b"}}),
            "non-ASCII characters",
        ),
        (
            response(200, {"credential": credential(1, 0) | {"secret": 5}}),
            "secret key of the metadata service is missing",
        ),
        (response(200, {"credential": credential(1, 0) | {"securitytoken": ""}}), "is missing"),
        (response(200, {"credential": credential(1, 0)}), "have already expired"),
        (
            response(200, {"credential": credential(1, 0) | {"expires_at": 5}}),
            "no valid expires_at",
        ),
    ],
)
async def test_the_error_of_an_invalid_response_names_the_problem(
    login: AgencyLogin,
    metadata: FakeMetadata,
    observer: CountingObserver,
    keys: httpx.Response,
    message: str,
) -> None:
    metadata.keys = keys
    for next_attempt in ("", "next attempt at 2027-01-15T08:00:02Z"):
        with pytest.raises(LoginFailedError, match=message) as caught:
            await signed(login)
        assert next_attempt in str(caught.value)
    assert observer.failed == 1


async def test_the_error_of_the_metadata_service_names_the_problem(
    login: AgencyLogin, metadata: FakeMetadata, clock: "FakeClock"
) -> None:
    metadata.token_status = 401
    with pytest.raises(LoginFailedError, match="request for a token with 401"):
        await signed(login)
    metadata.token_status, metadata.token = 200, b"\xff\r\nX: y"
    await clock.advance(2)
    with pytest.raises(LoginFailedError, match="non-ASCII characters"):
        await signed(login)
    metadata.down = True
    await clock.advance(4)
    with pytest.raises(LoginFailedError, match=r"metadata service did not answer \(cannot connect"):
        await signed(login)
