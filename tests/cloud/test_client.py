"""Tests of the cloud client: renewal after a 401, paging, and observed requests."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from exporter.cloud.auth.login import Login
from exporter.cloud.client import CloudClient
from exporter.cloud.errors import LoginFailedError
from exporter.cloud.observed_transport import ObservedTransport
from exporter.cloud.observer import Unobserved
from exporter.cloud.reachability import Reachability
from exporter.cloud.server_list import ListedServer
from exporter.http.deadline import Deadline
from exporter.http.errors import BadResponseError, NoResponse, NoResponseError
from exporter.ratelimit.throttle import Throttle
from exporter.ratelimit.transport import URGENT, RateLimitedTransport
from tests.http.responses import received


def response(status: int, body: bytes = b"{}", seconds: float = 0.1) -> httpx.Response:
    return received(status, body=body, seconds=seconds)


@dataclass
class FakeCloud:
    """Returns the given replies in order, as a handler of `httpx.MockTransport`."""

    replies: list[httpx.Response | BaseException]
    requests: list[httpx.Request] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        # A login changes the headers of one request between its attempts.
        self.requests.append(httpx.Request(request.method, request.url, headers=request.headers))
        deadline = request.extensions["deadline"]
        self.timeouts.append(deadline.left)
        reply = self.replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        deadline.spent += reply.extensions["seconds"]
        return reply


@dataclass
class FakeLogin(Login):
    renewable: int = 1
    tokens: int = 1
    fails: bool = False
    rejected: int = 0
    accepted_count: int = 0

    async def authorize(self, request: httpx.Request) -> None:
        if self.fails:
            raise LoginFailedError("the login is broken")
        request.headers["x-auth-token"] = f"token-{self.tokens}"

    async def renew(self, rejected: httpx.Request, seconds: float = 0.0) -> bool:  # noqa: ARG002
        self.rejected += 1
        if self.renewable <= 0:
            return False
        self.renewable -= 1
        self.tokens += 1
        return True

    def accepted(self, request: httpx.Request) -> None:  # noqa: ARG002
        self.accepted_count += 1


@dataclass
class RecordingObserver(Unobserved):
    finished: list[tuple[str, int | None, str]] = field(default_factory=list)
    throttled_count: int = 0
    cancelled: int = 0

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
        self.throttled_count += 1

    def request_cancelled(self) -> None:
        self.cancelled += 1


@dataclass
class Harness:
    cloud: FakeCloud
    login: FakeLogin
    observer: RecordingObserver
    client: CloudClient
    throttle: Throttle

    async def request(self, timeout: float = 10.0) -> tuple[httpx.Response, Deadline]:  # noqa: ASYNC109
        deadline = Deadline(timeout)
        return await self.client.remote_console("id-1", deadline), deadline

    async def listed(self, manage_state: str | None = None) -> list[ListedServer]:
        pages = self.client.server_pages(manage_state=manage_state, timeout=5)
        return [server async for page in pages for server in page]


@pytest.fixture
def make_harness(clock: Any) -> Callable[..., Harness]:
    def build(*replies: httpx.Response | BaseException, login: FakeLogin | None = None) -> Harness:
        cloud, observer = FakeCloud(list(replies)), RecordingObserver()
        login = login or FakeLogin()
        throttle = Throttle(requests_per_second=100.0, burst=100, clock=clock)
        client = CloudClient(
            endpoint="https://clouddc.example",
            project_id="p1",
            transport=RateLimitedTransport(
                ObservedTransport(httpx.MockTransport(cloud), observer), throttle
            ),
            login=login,
            observer=observer,
            reachability=Reachability(clock),
        )
        return Harness(cloud, login, observer, client, throttle)

    return build


async def test_requests_the_documented_path_with_the_logins_credentials(
    make_harness: Callable[..., Harness],
) -> None:
    harness = make_harness(response(200))
    await harness.request()
    (request,) = harness.cloud.requests
    assert str(request.url) == (
        "https://clouddc.example/v1/p1/physicalservers/id-1/remote-console-address"
    )
    assert request.headers["x-auth-token"] == "token-1"
    assert harness.observer.finished == [("remote_console", 200, "")]
    assert harness.login.accepted_count == 1


async def test_a_401_is_repeated_once_with_a_new_token(
    make_harness: Callable[..., Harness],
) -> None:
    harness = make_harness(response(401), response(200))
    received, deadline = await harness.request()
    assert received.status_code == 200
    assert [r.headers["x-auth-token"] for r in harness.cloud.requests] == ["token-1", "token-2"]
    # Both requests count against the one deadline.
    assert deadline.spent == pytest.approx(0.2)
    assert harness.cloud.timeouts == [10.0, pytest.approx(9.9)]


async def test_a_second_401_with_a_new_token_is_returned(
    make_harness: Callable[..., Harness],
) -> None:
    harness = make_harness(response(401), response(401))
    received, _ = await harness.request()
    assert received.status_code == 401
    assert len(harness.cloud.requests) == 2
    # The login is told that its new token was rejected too, so it can back off.
    assert harness.login.rejected == 2
    assert harness.login.accepted_count == 0


async def test_a_401_is_not_repeated_without_new_credentials(
    make_harness: Callable[..., Harness],
) -> None:
    harness = make_harness(response(401), login=FakeLogin(renewable=0))
    received, _ = await harness.request()
    assert received.status_code == 401
    assert len(harness.cloud.requests) == 1


async def test_nothing_is_sent_when_the_login_fails(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(login=FakeLogin(fails=True))
    with pytest.raises(LoginFailedError):
        await harness.request()
    assert harness.cloud.requests == []
    assert harness.observer.finished == []


async def test_a_request_without_a_response_is_recorded_without_a_status(
    make_harness: Callable[..., Harness],
) -> None:
    harness = make_harness(NoResponseError(NoResponse.TIMEOUT, "too late"))
    with pytest.raises(NoResponseError):
        await harness.request()
    assert harness.observer.finished == [("remote_console", None, "")]


async def test_a_429_lowers_the_rate_and_is_recorded(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(response(429, b'{"error_code": "APIGW.0308", "error_msg": "m"}'))
    await harness.request()
    assert harness.observer.finished == [("remote_console", 429, "APIGW.0308")]
    assert harness.observer.throttled_count == 1
    assert harness.throttle.limit < harness.throttle.ceiling


def page(ids: list[str], next_marker: str | None = None) -> httpx.Response:
    servers = ",".join(f'{{"id": "{server_id}", "name": "name-{server_id}"}}' for server_id in ids)
    marker = f'"{next_marker}"' if next_marker is not None else "null"
    body = f'{{"servers": [{servers}], "page_info": {{"next_marker": {marker}}}}}'
    return response(200, body.encode())


@pytest.mark.parametrize(
    "marker", ["b", "https://clouddc.example/v1/p1/physicalservers?limit=2&marker=b"]
)
async def test_a_marker_may_be_an_id_or_a_url(
    make_harness: Callable[..., Harness], marker: str
) -> None:
    harness = make_harness(page(["a", "b"], marker), page(["c"]))
    listed = await harness.listed(manage_state="in-use")
    assert [server.id for server in listed] == ["a", "b", "c"]
    assert [r.url.params.get("marker") for r in harness.cloud.requests] == [None, "b"]
    assert {r.url.params["manage_state"] for r in harness.cloud.requests} == {"in-use"}


async def test_a_full_page_without_a_marker_continues_after_its_last_id(
    make_harness: Callable[..., Harness],
) -> None:
    ids = [str(number) for number in range(1000)]
    harness = make_harness(page(ids), page(["last"]), page([]))
    assert len(await harness.listed()) == 1001
    assert harness.cloud.requests[1].url.params["marker"] == "999"


@pytest.mark.parametrize("info", [{}, {"page_info": {"next_marker": None}}, {"count": 100}])
async def test_pages_below_the_limit_without_markers_are_read_until_one_is_empty(
    make_harness: Callable[..., Harness], info: dict[str, object]
) -> None:
    ids = [f"id-{number}" for number in range(250)]
    pages = [ids[:100], ids[100:200], ids[200:], []]
    harness = make_harness(
        *(
            response(200, json.dumps({"servers": [{"id": one} for one in part], **info}).encode())
            for part in pages
        )
    )
    assert [server.id for server in await harness.listed()] == ids
    markers = [request.url.params.get("marker") for request in harness.cloud.requests]
    assert markers == [None, "id-99", "id-199", "id-249"]


async def test_a_page_that_repeats_the_last_record_only_ends_the_list(
    make_harness: Callable[..., Harness],
) -> None:
    # The marker is included in the page that it starts.
    harness = make_harness(page(["a", "b"]), page(["b", "c"]), page(["c"]))
    assert {server.id for server in await harness.listed()} == {"a", "b", "c"}
    assert len(harness.cloud.requests) == 3


@pytest.mark.parametrize("second", [["a", "b"], ["b", "a"], ["a"]])
async def test_a_list_that_ignores_the_marker_is_an_error(
    make_harness: Callable[..., Harness], second: list[str]
) -> None:
    # Else the servers beyond the first page would be missing without a word.
    harness = make_harness(page(["a", "b"]), page(second))
    with pytest.raises(BadResponseError, match="repeats itself"):
        await harness.listed()
    assert len(harness.cloud.requests) == 2


async def test_a_list_with_markers_costs_no_request_after_its_last_page(
    make_harness: Callable[..., Harness],
) -> None:
    harness = make_harness(page(["a"], "a"), page(["b"], "b"), page(["c"]))
    assert [server.id for server in await harness.listed()] == ["a", "b", "c"]
    assert len(harness.cloud.requests) == 3


async def test_an_empty_list_costs_one_request(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(page([]))
    assert await harness.listed() == []
    assert len(harness.cloud.requests) == 1


async def test_a_short_list_ends_at_an_id_that_cannot_be_a_marker(
    make_harness: Callable[..., Harness],
) -> None:
    harness = make_harness(page(["a", "b c"]))
    assert [server.id for server in await harness.listed()] == ["a", "b c"]


async def test_an_endless_list_without_markers_is_bounded(
    make_harness: Callable[..., Harness], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.cloud.client.SERVERS_MAX", 50)
    harness = make_harness(*(page([f"{n}-{number}" for n in range(10)]) for number in range(9)))
    with pytest.raises(BadResponseError, match="over 50 servers"):
        await harness.listed()
    assert len(harness.cloud.requests) == 6


async def test_numbers_and_booleans_in_tags_and_location_are_text(
    make_harness: Callable[..., Harness],
) -> None:
    values = [12, 1.5, True, False, "text", None, [1], {}]
    record = {
        "id": "a",
        "tags": [{"key": f"k{at}", "value": value} for at, value in enumerate(values)],
        "location": {"unit": 7, "rack": "r1"},
    }
    body = json.dumps({"servers": [record]}).encode()
    harness = make_harness(response(200, body), page([]))
    (server,) = await harness.listed()
    assert list(server.tags.values()) == ["12", "1.5", "true", "false", "text", "", "", ""]
    assert server.location == {"unit": "7", "rack": "r1"}


async def test_a_repeated_marker_ends_the_list(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(page(["a"], "a"), page(["b"], "a"))
    assert [s.id for s in await harness.listed()] == [
        "a",
        "b",
    ]


async def test_a_list_without_an_end_is_an_error(make_harness: Callable[..., Harness]) -> None:
    # Every page has the same servers but another marker.
    harness = make_harness(*(page(["a", "b"], f"m{number}") for number in range(5)))
    with pytest.raises(BadResponseError, match="repeats itself"):
        await harness.listed()
    assert len(harness.cloud.requests) == 2


async def test_a_list_with_too_many_servers_is_an_error(
    make_harness: Callable[..., Harness], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.cloud.client.SERVERS_MAX", 50)
    harness = make_harness(
        *(page([f"{n}-{number}" for n in range(10)], f"m{number}") for number in range(9))
    )
    with pytest.raises(BadResponseError, match="over 50 servers"):
        await harness.listed()
    assert len(harness.cloud.requests) == 6


@pytest.mark.parametrize(
    "marker", ["a b", "\\ud800", "x" * 513, "http://[?marker=a b", "https://h/?marker=%00"]
)
async def test_an_invalid_marker_is_an_error_or_ends_the_list(
    make_harness: Callable[..., Harness], marker: str
) -> None:
    harness = make_harness(page(["a"], marker))
    try:
        listed = await harness.listed()
    except BadResponseError as error:
        assert "marker" in str(error)  # noqa: PT017 - both are correct
    else:
        assert [server.id for server in listed] == ["a"]
    assert len(harness.cloud.requests) == 1


@pytest.mark.parametrize("body", [b"[]", b'{"servers": 1}', b"<html>"])
async def test_an_invalid_list_is_an_error_and_not_an_empty_list(
    make_harness: Callable[..., Harness], body: bytes
) -> None:
    harness = make_harness(response(200, body))
    with pytest.raises(BadResponseError):
        await harness.listed()


async def test_the_error_of_a_rejected_list_names_the_status(
    make_harness: Callable[..., Harness],
) -> None:
    harness = make_harness(response(403, b'{"error_code": "iMetal.0004"}'))
    with pytest.raises(BadResponseError, match=r"403 iMetal\.0004"):
        await harness.listed()


def test_urgent_requests_are_due_before_all_others() -> None:
    assert URGENT < 0.0


@pytest.mark.parametrize(("status", "accepted"), [(200, 1), (404, 1), (403, 1), (429, 0), (502, 0)])
async def test_only_a_response_from_after_authentication_proves_the_login(
    make_harness: Callable[..., Harness], status: int, accepted: int
) -> None:
    harness = make_harness(response(status))
    await harness.request()
    assert harness.login.accepted_count == accepted


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
async def test_any_odd_marker_gives_the_list_or_an_error(
    make_harness: Callable[..., Harness], marker: str
) -> None:
    body = json.dumps({"servers": [{"id": "a"}], "page_info": {"next_marker": marker}}).encode()
    harness = make_harness(response(200, body), response(200, b'{"servers": []}'))
    with suppress(BadResponseError):
        listed = await harness.listed()
        assert [server.id for server in listed] == ["a"]
    assert len(harness.cloud.requests) <= 2


async def test_a_cancelled_request_is_not_recorded_as_a_failure(
    make_harness: Callable[..., Harness],
) -> None:
    harness = make_harness(asyncio.CancelledError(), response(200))
    with pytest.raises(asyncio.CancelledError):
        await harness.request()
    assert (harness.observer.cancelled, harness.observer.finished) == (1, [])
    await harness.request()
    assert harness.observer.finished == [("remote_console", 200, "")]
