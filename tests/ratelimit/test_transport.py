"""The transport that takes a permit for every request."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.cloud.errors import LoginFailedError
from exporter.http.deadline import Deadline
from exporter.http.errors import BadResponseError, NoResponse, no_response
from exporter.ratelimit.throttle import Throttle
from exporter.ratelimit.transport import RateLimitedTransport
from tests.http.responses import received

if TYPE_CHECKING:
    from tests.conftest import FakeClock

Handler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]
STALE = no_response(NoResponse.CLOSED, "closed", stale=True)


def request(method: str = "GET", **extensions: object) -> httpx.Request:
    extensions.setdefault("deadline", Deadline(5.0))
    return httpx.Request(method, "https://clouddc.example/v1", extensions=extensions)


def limited(clock: "FakeClock", handler: Handler, burst: int = 1) -> RateLimitedTransport:
    throttle = Throttle(requests_per_second=1.0, burst=burst, clock=clock)
    return RateLimitedTransport(httpx.MockTransport(handler), throttle)


def replies(*planned: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """Return a handler that gives these replies in order, and the requests that it gets."""
    left, requests = list(planned), list[httpx.Request]()

    async def handle(asked: httpx.Request) -> httpx.Response:
        # As it is now: a repeat changes the extensions of its request.
        extensions = dict(asked.extensions)
        requests.append(httpx.Request(asked.method, asked.url, extensions=extensions))
        reply = left.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return handle, requests


async def test_a_request_waits_for_its_permit_just_before_the_wire(clock: "FakeClock") -> None:
    handler, requests = replies(received(200), received(200))
    transport = limited(clock, handler)
    deadline = Deadline(5.0)
    await transport.handle_async_request(request())

    second = asyncio.create_task(transport.handle_async_request(request(deadline=deadline)))
    await clock.advance(0.5)
    assert len(requests) == 1
    await clock.advance(0.6)
    await second

    assert len(requests) == 2
    assert deadline.waited == pytest.approx(1.0, abs=0.1)
    assert deadline.spent == 0


async def test_the_earliest_due_request_goes_first(clock: "FakeClock") -> None:
    handler, requests = replies(*[received(200)] * 3)
    transport = limited(clock, handler)
    await transport.handle_async_request(request())
    tasks = [
        asyncio.create_task(transport.handle_async_request(request(due=due)))
        for due in (20.0, 10.0)
    ]
    await clock.advance(0)
    await clock.advance(3.0)
    await asyncio.gather(*tasks)

    assert [asked.extensions["due"] for asked in requests[1:]] == [10.0, 20.0]


async def test_a_request_on_a_dead_kept_connection_is_repeated_once_with_a_permit_of_its_own(
    clock: "FakeClock",
) -> None:
    handler, requests = replies(STALE, received(200))
    transport = limited(clock, handler)
    sending = asyncio.create_task(transport.handle_async_request(request()))
    await clock.advance(0)
    assert len(requests) == 1
    await clock.advance(1.1)

    assert (await sending).status_code == 200
    assert requests[1].extensions["fresh"] is True


async def test_a_repeat_is_not_repeated(clock: "FakeClock") -> None:
    handler, requests = replies(STALE, STALE)
    transport = limited(clock, handler, burst=5)
    with pytest.raises(httpx.ReadError):
        await transport.handle_async_request(request())

    assert len(requests) == 2


@pytest.mark.parametrize(
    ("method", "error"),
    [
        pytest.param("POST", STALE, id="a request that may have had an effect"),
        pytest.param("GET", no_response(NoResponse.CLOSED, "closed"), id="a new connection"),
        pytest.param("GET", no_response(NoResponse.TIMEOUT, "late"), id="a timeout"),
        pytest.param("GET", BadResponseError("too large", 200), id="an unusable response"),
    ],
)
async def test_nothing_else_is_repeated(clock: "FakeClock", method: str, error: Exception) -> None:
    handler, requests = replies(error)
    with pytest.raises(type(error)):
        await limited(clock, handler, burst=5).handle_async_request(request(method))

    assert len(requests) == 1


async def test_the_throttle_learns_of_every_429(clock: "FakeClock") -> None:
    handler, _ = replies(received(429, {"retry-after": "30"}), received(200))
    transport = limited(clock, handler, burst=5)
    await transport.handle_async_request(request())

    sending = asyncio.create_task(transport.handle_async_request(request()))
    await clock.advance(29.0)
    assert not sending.done()
    await clock.advance(2.0)
    assert (await sending).status_code == 200


async def test_a_cancelled_wait_uses_up_no_permit(clock: "FakeClock") -> None:
    handler, requests = replies(*[received(200)] * 2)
    transport = limited(clock, handler)
    await transport.handle_async_request(request())
    waiting = asyncio.create_task(transport.handle_async_request(request()))
    await clock.advance(0.5)
    waiting.cancel()
    await clock.advance(0.6)

    await transport.handle_async_request(request())
    assert len(requests) == 2


async def test_the_caller_is_told_of_the_first_permit_only(clock: "FakeClock") -> None:
    handler, _ = replies(STALE, received(200))
    waits = list[float]()
    await limited(clock, handler, burst=5).handle_async_request(request(on_permit=waits.append))

    assert waits == [0.0]


@pytest.mark.parametrize(("waited", "refreshed"), [(5.0, 0), (30.0, 1)])
async def test_credentials_that_waited_long_are_refreshed_before_they_are_sent(
    clock: "FakeClock", waited: float, refreshed: int
) -> None:
    handler, _ = replies(received(200), received(200))
    throttle = Throttle(requests_per_second=1 / waited, burst=1, clock=clock)
    transport = RateLimitedTransport(httpx.MockTransport(handler), throttle)
    await transport.handle_async_request(request())
    seen = list[httpx.Request]()
    waiting = asyncio.create_task(transport.handle_async_request(request(refresh=seen.append)))
    await clock.advance(waited + 1)
    await waiting

    assert len(seen) == refreshed


async def test_a_permit_goes_back_if_the_credentials_cannot_be_refreshed(
    clock: "FakeClock",
) -> None:
    handler, requests = replies(received(200), received(200))
    throttle = Throttle(requests_per_second=1 / 30, burst=1, clock=clock)
    transport = RateLimitedTransport(httpx.MockTransport(handler), throttle)
    await transport.handle_async_request(request())

    def fail(_request: httpx.Request) -> None:
        raise LoginFailedError("the key pair is locked out")

    waiting = asyncio.create_task(transport.handle_async_request(request(refresh=fail)))
    await clock.advance(31.0)
    with pytest.raises(LoginFailedError):
        await waiting
    await transport.handle_async_request(request())

    assert len(requests) == 2
