"""Tests of the evidence that a project's API answers, and of its control requests."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.cloud.client import CloudClient
from exporter.cloud.observed_transport import ObservedTransport
from exporter.cloud.observer import Unobserved
from exporter.cloud.reachability import CONTROL_SECONDS, Reachability, is_from_api
from exporter.http.deadline import Deadline
from exporter.http.errors import NoResponse, no_response
from exporter.ratelimit.throttle import Throttle
from exporter.ratelimit.transport import RateLimitedTransport
from tests.http.responses import received
from tests.real.probing import TOKEN, TokenLogin

if TYPE_CHECKING:
    from tests.conftest import FakeClock

PAGE = received(200, body=b'{"servers": []}')
ADDRESS = received(200, body=b'{"url": "https://console.example/"}')
CLOSED = no_response(NoResponse.CLOSED, "it closed the connection")
PORTAL = received(200, body=b"<html>Log in</html>")


def error(status: int, code: str) -> httpx.Response:
    return received(status, body=json.dumps({"error_code": code, "error_msg": "m"}).encode())


def distances(moments: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(moments)]


@dataclass
class Cloud:
    """Answers console addresses and lists as told; ``held`` lists wait until it is set."""

    clock: "FakeClock"
    consoles: httpx.Response | Exception = field(default_factory=lambda: ADDRESS)
    lists: httpx.Response | Exception = field(default_factory=lambda: PAGE)
    held: asyncio.Event | None = None
    listed_at: list[float] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        reply = self.consoles
        if request.extensions["operation"] == "list_servers":
            self.listed_at.append(self.clock.monotonic())
            self.queries.append(request.url.query.decode())
            if self.held is not None:
                await self.held.wait()
            reply = self.lists
        if isinstance(reply, Exception):
            raise reply
        return httpx.Response(reply.status_code, content=reply.content)


@dataclass
class Project:
    cloud: Cloud
    clock: "FakeClock"
    reachability: Reachability
    client: CloudClient
    throttle: Throttle

    async def probe(self) -> None:
        """Request a console address."""
        await self.client.remote_console("a", Deadline(10.0))

    def confirming(self, began: float | None = None) -> asyncio.Task[bool]:
        """Start to confirm a failure; by default the probe began now."""
        began = self.clock.monotonic() if began is None else began
        return asyncio.create_task(self.client.answers_since(began, timeout=10.0))


@pytest.fixture
def make_project(clock: "FakeClock") -> Callable[..., Project]:
    def make(login: TokenLogin | None = None, rate: float = 100.0) -> Project:
        cloud = Cloud(clock)
        throttle = Throttle(requests_per_second=rate, burst=1, clock=clock)
        reachability = Reachability(clock)
        client = CloudClient(
            endpoint="https://clouddc.example",
            project_id="p1",
            transport=RateLimitedTransport(
                ObservedTransport(httpx.MockTransport(cloud), Unobserved()), throttle
            ),
            login=login or TokenLogin(TOKEN),
            observer=Unobserved(),
            reachability=reachability,
        )
        return Project(cloud, clock, reachability, client, throttle)

    return make


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    return make_project()


@pytest.mark.parametrize(
    ("response", "own"),
    [
        pytest.param(ADDRESS, True, id="console address"),
        pytest.param(PAGE, True, id="server list"),
        pytest.param(error(400, "iMetal.0101"), True, id="not ready"),
        pytest.param(error(401, "APIGW.0301"), True, id="401"),
        pytest.param(error(403, "PAP5.0001"), True, id="403"),
        pytest.param(error(404, "iMetal.0100"), True, id="unknown server"),
        pytest.param(error(429, "APIGW.0308"), True, id="429"),
        pytest.param(error(500, "iMetal.0099"), True, id="500"),
        pytest.param(error(503, "APIG.0613"), True, id="503"),
        pytest.param(error(404, "APIGW.0101"), False, id="no such API"),
        pytest.param(error(404, "APIG.0103"), False, id="dedicated gateway: no such API"),
        pytest.param(error(400, "APIGW.0104"), False, id="no such method"),
        pytest.param(error(400, "APIGW.0106"), False, id="no such domain"),
        pytest.param(error(404, "404"), False, id="404 with a number"),
        pytest.param(received(404, body=b"<html></html>"), False, id="404 of HTML"),
        pytest.param(PORTAL, False, id="200 of HTML"),
        pytest.param(received(200, body=b'{"login": "here"}'), False, id="200 with other JSON"),
        pytest.param(received(302), False, id="302"),
        pytest.param(received(407), False, id="407"),
        pytest.param(received(502, body=b"<html></html>"), False, id="502 of HTML"),
        pytest.param(received(511), False, id="511"),
    ],
)
def test_only_the_apis_own_responses_are_recognized(response: httpx.Response, own: bool) -> None:  # noqa: FBT001
    assert is_from_api(response) is own


async def test_there_is_no_reachability_before_the_first_evidence(project: Project) -> None:
    assert project.reachability.reachable is None
    project.cloud.consoles = PORTAL
    await project.probe()
    assert project.reachability.reachable is None


async def test_an_answer_to_another_request_since_the_probe_began_is_the_evidence(
    project: Project,
) -> None:
    began = project.clock.monotonic()
    await project.clock.advance(1.0)
    await project.probe()
    await project.clock.advance(1.0)

    assert await project.confirming(began)
    assert project.cloud.listed_at == []
    assert project.reachability.reachable is True


async def test_an_answer_before_the_probe_began_is_no_evidence(project: Project) -> None:
    await project.probe()
    await project.clock.advance(1.0)
    project.cloud.lists = CLOSED

    assert not await project.confirming()
    assert project.reachability.reachable is False


async def test_without_evidence_the_shortest_list_is_requested(project: Project) -> None:
    assert await project.confirming()
    assert project.cloud.queries == ["limit=10"]


@pytest.mark.parametrize(
    ("reply", "answers"),
    [
        pytest.param(error(403, "iMetal.0004"), True, id="no right to list"),
        pytest.param(error(429, "APIGW.0308"), True, id="throttled by the API"),
        pytest.param(error(500, "iMetal.0099"), True, id="internal error of the API"),
        pytest.param(CLOSED, False, id="closed"),
        pytest.param(no_response(NoResponse.DNS, "cannot resolve"), False, id="no name"),
        pytest.param(PORTAL, False, id="portal"),
        pytest.param(received(502), False, id="bare 502"),
        pytest.param(error(404, "APIGW.0101"), False, id="no such API"),
    ],
)
async def test_the_response_to_the_control_request_decides(
    project: Project,
    reply: httpx.Response | Exception,
    answers: bool,  # noqa: FBT001
) -> None:
    project.cloud.lists = reply

    assert await project.confirming() is answers
    assert project.reachability.reachable is answers


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(no_response(NoResponse.EXHAUSTED, "no ports"), id="out of ports"),
        pytest.param(no_response(NoResponse.BLOCKED, "blocked"), id="blocked event loop"),
        pytest.param(received(429), id="429 without a body"),
    ],
)
async def test_what_says_nothing_about_the_api_changes_no_gauge(
    project: Project, reply: httpx.Response | Exception
) -> None:
    await project.probe()
    await project.clock.advance(1.0)
    project.cloud.lists = reply

    assert not await project.confirming()
    assert project.reachability.reachable is True


async def test_a_failed_login_is_no_evidence(make_project: Callable[..., Project]) -> None:
    project = make_project(login=TokenLogin())

    assert not await project.confirming()
    assert (project.cloud.listed_at, project.reachability.reachable) == ([], None)


async def test_all_failing_probes_share_one_control_request(project: Project) -> None:
    project.cloud.lists, project.cloud.held = CLOSED, asyncio.Event()
    began = project.clock.monotonic()
    first = [project.confirming(began) for _ in range(100)]
    await project.clock.advance(1.0)
    # Began while the control request runs.
    second = [project.confirming() for _ in range(100)]
    await project.clock.advance(1.0)
    project.cloud.held.set()

    assert set(await asyncio.gather(*first, *second)) == {False}
    # Probes that began before its end and fail later.
    await project.clock.advance(60.0)
    assert not await project.confirming(began)
    assert len(project.cloud.listed_at) == 1


async def test_a_failed_control_request_counts_for_some_seconds(project: Project) -> None:
    project.cloud.lists = CLOSED
    for _ in range(40):
        assert not await project.confirming()
        await project.clock.advance(0.5)

    assert len(project.cloud.listed_at) <= 20 / CONTROL_SECONDS
    assert min(distances(project.cloud.listed_at)) >= CONTROL_SECONDS


async def test_an_answer_ends_the_effect_of_a_failed_control_request(project: Project) -> None:
    project.cloud.lists = CLOSED
    assert not await project.confirming()
    await project.clock.advance(1.0)
    await project.probe()
    await project.clock.advance(1.0)
    project.cloud.lists = PAGE
    confirming = project.confirming()
    await project.clock.advance(CONTROL_SECONDS)

    assert await confirming
    assert len(project.cloud.listed_at) == 2


async def test_control_requests_keep_their_distance_while_the_api_answers(
    project: Project,
) -> None:
    for _ in range(10):
        confirming = project.confirming()
        await project.clock.advance(CONTROL_SECONDS / 2)
        await project.clock.advance(CONTROL_SECONDS / 2)
        assert await confirming

    assert min(distances(project.cloud.listed_at)) >= CONTROL_SECONDS


async def test_any_answer_of_the_api_ends_the_wait_for_a_control_request(
    project: Project,
) -> None:
    assert await project.confirming()
    await project.clock.advance(1.0)
    confirming = project.confirming()
    await project.clock.advance(1.0)
    assert not confirming.done()
    await project.probe()

    assert await confirming
    await project.clock.advance(60.0)
    assert len(project.cloud.listed_at) == 1


async def test_an_answer_ends_the_wait_for_a_control_request_without_a_response(
    project: Project,
) -> None:
    project.cloud.lists, project.cloud.held = CLOSED, asyncio.Event()
    confirming = project.confirming()
    await project.clock.advance(1.0)
    await project.probe()
    assert await confirming

    project.cloud.held.set()
    await project.clock.advance(1.0)
    # Another request was answered meanwhile.
    assert project.reachability.reachable is True


async def test_a_cancelled_probe_does_not_cancel_the_control_request_of_others(
    project: Project,
) -> None:
    project.cloud.held = asyncio.Event()
    cancelled, waiting = project.confirming(), project.confirming()
    await project.clock.advance(1.0)
    cancelled.cancel()
    await project.clock.advance(1.0)
    project.cloud.held.set()

    assert await waiting
    assert cancelled.cancelled()
    assert len(project.cloud.listed_at) == 1


async def test_the_next_probe_finds_a_working_state_after_all_were_cancelled(
    project: Project,
) -> None:
    project.cloud.held = asyncio.Event()
    cancelled = project.confirming()
    await project.clock.advance(1.0)
    cancelled.cancel()
    await project.clock.advance(1.0)
    project.cloud.held.set()
    await project.clock.advance(1.0)
    confirming = project.confirming()
    await project.clock.advance(CONTROL_SECONDS)

    assert await confirming


@pytest.mark.parametrize("before", [0.0, 1.0])
async def test_closing_ends_every_wait_without_evidence(project: Project, before: float) -> None:
    project.cloud.held = asyncio.Event()
    confirming = project.confirming()
    # A task that is cancelled before its first step runs no code of its own.
    await (project.clock.advance(before) if before else asyncio.sleep(0))
    await project.reachability.aclose()

    assert not await asyncio.wait_for(confirming, 5)
    assert project.reachability.reachable is None


async def test_the_control_request_is_paced_and_first_in_the_queue(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(rate=1.0)
    await project.probe()
    await project.clock.advance(0.5)
    order: list[str] = []

    async def queued() -> None:
        await project.client.remote_console("b", Deadline(10.0), due=0.0)
        order.append("probe")

    async def confirmed() -> None:
        assert await project.confirming()
        order.append("control")

    # The answer to the probe would be evidence, too.
    project.cloud.consoles = PORTAL
    tasks = [asyncio.create_task(queued()), asyncio.create_task(confirmed())]
    await project.clock.advance(10.0)
    await asyncio.gather(*tasks)

    assert order == ["control", "probe"]
    assert project.cloud.listed_at == [1001.0]


async def test_a_bug_in_the_control_request_is_no_evidence(project: Project) -> None:
    project.cloud.lists = ZeroDivisionError()

    assert not await project.confirming()
    assert project.reachability.reachable is None
