"""The client: renewals after a 401, paging, and the accounts it keeps."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from exporter.cloud.client import URGENT, CloudClient, PacedSender
from exporter.cloud.errors import LoginFailedError
from exporter.cloud.observer import Unobserved
from exporter.http.deadline import Deadline
from exporter.http.errors import BadResponseError, NoResponse, NoResponseError
from exporter.http.request import Request
from exporter.http.response import Response
from exporter.ratelimit.throttle import Throttle

Reply = Callable[[Request], Response]


def answer(status: int, body: bytes = b"{}", seconds: float = 0.1) -> Response:
    return Response(status, httpx.Headers(), body, seconds)


@dataclass
class FakeCloud:
    """A transport that answers from a list."""

    replies: list[Response | BaseException]
    requests: list[Request] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)

    async def send(self, request: Request, *, timeout: float, max_bytes: int) -> Response:  # noqa: ARG002, ASYNC109
        self.requests.append(request)
        self.timeouts.append(timeout)
        reply = self.replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        return reply


@dataclass
class FakeLogin:
    renewable: int = 1
    tokens: int = 1
    fails: bool = False
    rejected: int = 0
    taken: int = 0
    expires_at: float | None = None

    async def authorize(self, request: Request) -> None:
        if self.fails:
            raise LoginFailedError("the login is broken")
        request.headers["x-auth-token"] = f"token-{self.tokens}"

    async def renew(self, rejected: Request) -> bool:  # noqa: ARG002
        self.rejected += 1
        if self.renewable <= 0:
            return False
        self.renewable -= 1
        self.tokens += 1
        return True

    def accepted(self, request: Request) -> None:  # noqa: ARG002
        self.taken += 1


@dataclass
class Seen(Unobserved):
    finished: list[tuple[str, int | None, str]] = field(default_factory=list)
    throttles: int = 0
    given_up: int = 0

    def request_finished(  # noqa: PLR0913
        self,
        operation: str,
        status: int | None,
        seconds: float,  # noqa: ARG002
        *,
        error_code: str,
        server_id: str,  # noqa: ARG002
        request_id: str,  # noqa: ARG002
    ) -> None:
        self.finished.append((operation, status, error_code))

    def throttled(self) -> None:
        self.throttles += 1

    def request_given_up(self) -> None:
        self.given_up += 1


@dataclass
class Bench:
    cloud: FakeCloud
    login: FakeLogin
    seen: Seen
    client: CloudClient
    throttle: Throttle

    async def ask(self, timeout: float = 10.0) -> tuple[Response, Deadline]:  # noqa: ASYNC109
        deadline = Deadline(timeout)
        permit = await self.client.permit(0.0)
        return await self.client.remote_console("id-1", permit, deadline), deadline


@pytest.fixture
def bench(clock: Any) -> Callable[..., Bench]:
    def build(*replies: Response | BaseException, login: FakeLogin | None = None) -> Bench:
        cloud, seen, signed = FakeCloud(list(replies)), Seen(), login or FakeLogin()
        throttle = Throttle(requests_per_second=100.0, burst=100, clock=clock)
        client = CloudClient(
            endpoint="https://clouddc.example",
            project_id="p1",
            sender=PacedSender(cloud, throttle, seen),
            login=signed,
        )
        return Bench(cloud, signed, seen, client, throttle)

    return build


async def test_it_asks_the_documented_path_with_the_login_s_credentials(
    bench: Callable[..., Bench],
) -> None:
    b = bench(answer(200))
    await b.ask()
    (request,) = b.cloud.requests
    assert str(request.url) == (
        "https://clouddc.example/v1/p1/physicalservers/id-1/remote-console-address"
    )
    assert request.headers["x-auth-token"] == "token-1"
    assert b.seen.finished == [("remote_console", 200, "")]
    assert b.login.taken == 1


async def test_a_401_is_asked_once_more_with_a_fresh_token(bench: Callable[..., Bench]) -> None:
    b = bench(answer(401), answer(200))
    got, deadline = await b.ask()
    assert got.status == 200
    assert [r.headers["x-auth-token"] for r in b.cloud.requests] == ["token-1", "token-2"]
    # Both requests count against the one deadline.
    assert deadline.spent == pytest.approx(0.2)
    assert b.cloud.timeouts == [10.0, pytest.approx(9.9)]


async def test_a_401_that_a_fresh_token_does_not_cure_is_the_answer(
    bench: Callable[..., Bench],
) -> None:
    b = bench(answer(401), answer(401))
    got, _ = await b.ask()
    assert got.status == 401
    assert len(b.cloud.requests) == 2
    # The login hears that its fresh token was refused too, and can back off.
    assert b.login.rejected == 2
    assert b.login.taken == 0


async def test_a_401_with_nothing_fresher_is_not_asked_again(bench: Callable[..., Bench]) -> None:
    b = bench(answer(401), login=FakeLogin(renewable=0))
    got, _ = await b.ask()
    assert got.status == 401
    assert len(b.cloud.requests) == 1


async def test_without_a_login_nothing_is_sent(bench: Callable[..., Bench]) -> None:
    b = bench(login=FakeLogin(fails=True))
    with pytest.raises(LoginFailedError):
        await b.ask()
    assert b.cloud.requests == []
    assert b.seen.finished == []


async def test_a_request_without_an_answer_is_counted_as_such(
    bench: Callable[..., Bench],
) -> None:
    b = bench(NoResponseError(NoResponse.TIMEOUT, "too late"))
    with pytest.raises(NoResponseError):
        await b.ask()
    assert b.seen.finished == [("remote_console", None, "")]


async def test_a_429_slows_the_throttle_and_is_counted(bench: Callable[..., Bench]) -> None:
    b = bench(answer(429, b'{"error_code": "APIGW.0308", "error_msg": "m"}'))
    await b.ask()
    assert b.seen.finished == [("remote_console", 429, "APIGW.0308")]
    assert b.seen.throttles == 1
    assert b.throttle.limit < b.throttle.ceiling


def page(ids: list[str], next_marker: str | None = None) -> Response:
    servers = ",".join(f'{{"id": "{one}", "name": "name-{one}"}}' for one in ids)
    marker = f'"{next_marker}"' if next_marker is not None else "null"
    body = f'{{"servers": [{servers}], "page_info": {{"next_marker": {marker}}}}}'
    return answer(200, body.encode())


@pytest.mark.parametrize(
    "marker", ["b", "https://clouddc.example/v1/p1/physicalservers?limit=2&marker=b"]
)
async def test_a_marker_may_come_as_an_id_or_as_an_address(
    bench: Callable[..., Bench], marker: str
) -> None:
    b = bench(page(["a", "b"], marker), page(["c"]))
    listed = await b.client.list_servers(manage_state="in-use", timeout=5)
    assert [one.id for one in listed] == ["a", "b", "c"]
    assert [r.url.query.get("marker") for r in b.cloud.requests] == [None, "b"]
    assert {r.url.query["manage_state"] for r in b.cloud.requests} == {"in-use"}


async def test_a_full_page_without_a_marker_goes_on_from_its_last_id(
    bench: Callable[..., Bench],
) -> None:
    ids = [str(number) for number in range(1000)]
    b = bench(page(ids), page(["last"]))
    assert len(await b.client.list_servers(manage_state=None, timeout=5)) == 1001
    assert b.cloud.requests[1].url.query["marker"] == "999"


async def test_a_marker_that_comes_again_ends_the_list(bench: Callable[..., Bench]) -> None:
    b = bench(page(["a"], "a"), page(["b"], "a"))
    assert [s.id for s in await b.client.list_servers(manage_state=None, timeout=5)] == ["a", "b"]


async def test_a_list_without_an_end_is_an_error(bench: Callable[..., Bench]) -> None:
    # Always the same page, always another marker.
    b = bench(*(page(["a", "b"], f"m{number}") for number in range(5)))
    with pytest.raises(BadResponseError, match="repeats itself"):
        await b.client.list_servers(manage_state=None, timeout=5)
    assert len(b.cloud.requests) == 2


async def test_a_list_is_followed_for_so_many_servers_and_no_more(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.cloud.client.SERVERS_MAX", 50)
    b = bench(*(page([f"{n}-{number}" for n in range(10)], f"m{number}") for number in range(9)))
    with pytest.raises(BadResponseError, match="over 50 servers"):
        await b.client.list_servers(manage_state=None, timeout=5)
    assert len(b.cloud.requests) == 6


@pytest.mark.parametrize(
    "marker", ["a b", "\\ud800", "x" * 513, "http://[?marker=a b", "https://h/?marker=%00"]
)
async def test_a_marker_that_cannot_be_sent_is_an_error_or_none_and_never_a_fault(
    bench: Callable[..., Bench], marker: str
) -> None:
    b = bench(page(["a"], marker))
    try:
        listed = await b.client.list_servers(manage_state=None, timeout=5)
    except BadResponseError as error:
        assert "marker" in str(error)  # noqa: PT017 - either is right
    else:
        assert [one.id for one in listed] == ["a"]
    assert len(b.cloud.requests) == 1


@pytest.mark.parametrize("odd", [b"[]", b'{"servers": 1}', b"<html>"])
async def test_what_is_no_list_is_an_error_and_not_an_empty_list(
    bench: Callable[..., Bench], odd: bytes
) -> None:
    b = bench(answer(200, odd))
    with pytest.raises(BadResponseError):
        await b.client.list_servers(manage_state=None, timeout=5)


async def test_a_refused_list_names_the_status(bench: Callable[..., Bench]) -> None:
    b = bench(answer(403, b'{"error_code": "iMetal.0004"}'))
    with pytest.raises(BadResponseError, match=r"403 iMetal\.0004"):
        await b.client.list_servers(manage_state=None, timeout=5)


def test_urgent_requests_go_before_every_slot() -> None:
    assert URGENT < 0.0


@pytest.mark.parametrize(("status", "taken"), [(200, 1), (404, 1), (403, 1), (429, 0), (502, 0)])
async def test_only_an_answer_from_behind_the_door_proves_the_login(
    bench: Callable[..., Bench], status: int, taken: int
) -> None:
    b = bench(answer(status))
    await b.ask()
    assert b.login.taken == taken


@pytest.mark.parametrize(
    "marker",
    [
        "https://[",
        "?marker=%ff%00",
        "\ud800",
        "a b",
        "x" * 70_000,
        "https://x.example/?marker=" + "y" * 600,
    ],
)
async def test_no_marker_however_odd_breaks_the_listing(
    bench: Callable[..., Bench], marker: str
) -> None:
    body = json.dumps({"servers": [{"id": "a"}], "page_info": {"next_marker": marker}}).encode()
    b = bench(answer(200, body), answer(200, b'{"servers": []}'))
    with suppress(BadResponseError):
        listed = await b.client.list_servers(manage_state=None, timeout=5)
        assert [server.id for server in listed] == ["a"]
    assert len(b.cloud.requests) <= 2


async def test_a_request_that_we_give_up_is_no_failure_of_the_cloud(
    bench: Callable[..., Bench],
) -> None:
    ours = bench(asyncio.CancelledError(), answer(200))
    with pytest.raises(asyncio.CancelledError):
        await ours.ask()
    assert (ours.seen.given_up, ours.seen.finished) == (1, [])
    await ours.ask()
    assert ours.seen.finished == [("remote_console", 200, "")]
