"""Tests of discovery from the cloud's server list."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from exporter.cloud.server_list import ListedServer
from exporter.config.config import Discovery, Project
from exporter.http.errors import BadResponseError, NoResponse, NoResponseError
from exporter.model import TargetKey
from exporter.targets.cloud_discovery import CloudDiscovery
from exporter.targets.shrink_guard import ShrinkGuard


def record(server_id: str, name: str = "", **more: Any) -> ListedServer:
    whole: dict[str, Any] = {
        "manage_state": "in-use",
        "power_state": "on",
        "health_state": "OK",
        "location": {"dc": "a", "rack": "r12"},
        "tags": {"team": "storage"},
    }
    return ListedServer(server_id, name or server_id, **(whole | more))


def records(count: int) -> list[ListedServer]:
    return [record(f"id-{number}") for number in range(count)]


@dataclass
class FakeLister:
    """Returns the next list of pages, or raises the next error, at each call."""

    responses: list[list[list[ListedServer]] | httpx.RequestError | Exception]
    calls: list[tuple[str | None, float]] = field(default_factory=list)

    async def server_pages(
        self,
        *,
        manage_state: str | None,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[list[ListedServer]]:
        self.calls.append((manage_state, timeout))
        response = self.responses.pop(0)
        if isinstance(response, Exception):
            raise response
        for page in response:
            yield page


Build = Callable[..., CloudDiscovery]


@pytest.fixture
def build(project: Callable[..., Project], observer: Any, clock: Any) -> Build:
    def build(lister: FakeLister, discovery: Discovery = Discovery(), known: int = 0) -> Any:  # noqa: B008
        return CloudDiscovery(
            project(discovery=discovery),
            discovery,
            lister,
            send=observer.send,
            observer=observer,
            clock=clock,
            known=known,
        )

    return build


async def test_a_listed_server_becomes_a_target_with_labels(
    build: Build, observer: Any, clock: Any
) -> None:
    mapping = (("rack", "location.rack"), ("room", "location.room"), ("team", "tags.team"))
    lister = FakeLister([[[record("id-1", "db-01", power_state="off")], [record("id-2")]]])
    assert await build(lister, Discovery(labels=mapping)).refresh() == 300
    first, second = observer.sent[0]
    assert first.key == TargetKey("southwest", "id-1")
    assert (first.name, first.region) == ("db-01", "cn-southwest-2")
    assert (first.interval, first.timeout, first.depth) == (60, 5, "api")
    assert dict(first.labels) == {
        "rack": "r12", "team": "storage", "power_state": "off", "health_state": "OK",
    }  # fmt: skip
    assert list(first.labels) == sorted(first.labels)
    assert second.key.server_id == "id-2"
    assert lister.calls == [("in-use", 5.0)]
    assert observer.refreshes == [("cloud", clock.time())]


@pytest.mark.parametrize(
    ("states", "filter_state", "found"),
    [
        (("in-use",), "in-use", ["in-use"]),
        (("in-use", "maintain"), None, ["in-use", "maintain"]),
        ((), None, ["in-use", "maintain", "ready", ""]),
    ],
)
async def test_one_state_is_filtered_by_the_cloud_and_several_by_discovery(
    build: Build, observer: Any, states: tuple[str, ...], filter_state: str | None, found: list[str]
) -> None:
    page = [record(f"id{s}", manage_state=s) for s in ("in-use", "maintain", "ready", "")]
    lister = FakeLister([[page]])
    await build(lister, Discovery(manage_state=states)).refresh()
    assert lister.calls == [(filter_state, 5.0)]
    assert observer.ids == [f"id{state}" for state in found]


async def test_the_whole_name_must_match(build: Build, observer: Any) -> None:
    page = [record("1", "db-01"), record("2", "db-011"), record("3", "old-db-01")]
    discovery = Discovery(name_regex=re.compile(r"db-\d\d"))
    await build(FakeLister([[page]]), discovery).refresh()
    assert observer.ids == ["1"]


async def test_a_server_listed_twice_is_one_target(build: Build, observer: Any) -> None:
    pages = [[record("1", "old"), record("2")], [record("1", "new")]]
    await build(FakeLister([pages])).refresh()
    assert [(one.key.server_id, one.name) for one in observer.sent[0]] == [("1", "new"), ("2", "2")]


async def test_unusable_ids_names_and_labels_are_counted_and_logged_once(
    build: Build, observer: Any
) -> None:
    page = [
        record("good", "db-01"),
        *(record(bad) for bad in ("../x", "a/b", "..", "x" * 65, "a\n", "\ud800", "é", " a")),
        record("name-1", "evil\n\x1b[31m"),
        record("name-2", "x" * 129),
        record("label-1", tags={"team": "x" * 257}, location={"rack": "a\nb"}),
        record("state-1", power_state='on"} 1\nforged{'),
    ]
    lister = FakeLister([[page], [page]])
    mapping = (("rack", "location.rack"), ("team", "tags.team"))
    discovery = build(lister, Discovery(labels=mapping))
    with capture_logs() as logs:
        await discovery.refresh()
        await discovery.refresh()
    assert observer.ids == ["good", "name-1", "name-2", "label-1", "state-1"]
    assert [one.name for one in observer.sent[0]][1:3] == ["name-1", "name-2"]
    by_id = {one.key.server_id: dict(one.labels) for one in observer.sent[0]}
    assert by_id["label-1"] == {"power_state": "on", "health_state": "OK"}
    assert "power_state" not in by_id["state-1"]
    [event] = logs
    assert (event["servers"], event["names"], event["labels"]) == (8, 2, 3)
    assert "forged" not in repr(event)


@pytest.mark.parametrize(
    "failure",
    [
        NoResponseError(NoResponse.TIMEOUT, "no answer in time"),
        BadResponseError("the API answered the server list request with 403 iMetal.0004", 403),
    ],
)
async def test_a_failed_list_keeps_the_servers_and_is_retried_with_back_off(
    build: Build, observer: Any, failure: Exception
) -> None:
    discovery = build(FakeLister([[records(3)], *([failure] * 7), [records(4)], failure]))
    with capture_logs() as logs:
        pauses = [await discovery.refresh() for _ in range(10)]
    assert pauses == [300, 10, 20, 40, 80, 160, 300, 300, 300, 10]
    assert [len(sent) for sent in observer.sent] == [3, 4]
    assert observer.failures == ["cloud"] * 8
    assert logs[0]["event"] == "listing the cloud's servers failed"
    assert (logs[0]["why"], logs[0]["kept"]) == (str(failure), 3)


async def test_an_unexpected_error_does_not_end_discovery(
    build: Build, observer: Any, clock: Any
) -> None:
    lister = FakeLister([RuntimeError("an unexpected error"), [records(4)]])
    with capture_logs() as logs:
        running = asyncio.create_task(build(lister).run())
        for _ in range(1000):
            await clock.advance(10)
            # Pages are processed in a thread.
            await asyncio.sleep(0.001)
            if observer.sent:
                break
        running.cancel()
    assert [len(sent) for sent in observer.sent] == [4]
    assert observer.failures == ["cloud"]
    assert logs[0]["event"] == "unexpected discovery error"


async def test_a_list_that_lost_over_half_is_confirmed_before_it_is_used(
    build: Build, observer: Any
) -> None:
    lister = FakeLister([[records(10)], [records(4)], [records(10)], [records(4)], [records(4)]])
    discovery = build(lister)
    assert await discovery.refresh() == 300
    with capture_logs() as logs:
        assert await discovery.refresh() == 60
    assert (logs[0]["listed"], logs[0]["kept"], logs[0]["again_in_seconds"]) == (4, 10, 60)
    assert logs[0]["log_level"] == "warning"
    # Not confirmed: all servers are listed again.
    assert await discovery.refresh() == 300
    assert [len(sent) for sent in observer.sent] == [10, 10]
    # Confirmed.
    assert await discovery.refresh() == 60
    assert await discovery.refresh() == 300
    assert [len(sent) for sent in observer.sent] == [10, 10, 4]


async def test_the_confirming_list_is_at_most_one_refresh_interval_later(build: Build) -> None:
    lister = FakeLister([[records(10)], [[]]])
    discovery = build(lister, Discovery(refresh_interval=20.0))
    await discovery.refresh()
    assert await discovery.refresh() == 20


async def test_a_shrunk_list_needs_confirmation_after_a_reload_too(
    build: Build, observer: Any
) -> None:
    await build(FakeLister([[[]]]), known=10).refresh()
    assert observer.sent == []


@pytest.mark.parametrize(
    ("known", "lists"),
    [
        (10, [(5, True)]),
        (10, [(4, False), (4, True)]),
        (10, [(0, False), (0, True)]),
        (10, [(4, False), (9, True), (4, False)]),
        # A list that keeps shrinking is not confirmed.
        (100, [(40, False), (10, False), (2, False), (1, True)]),
        (0, [(0, True), (7, True)]),
    ],
)
def test_a_shrunk_list_needs_a_similar_second_one(
    known: int, lists: list[tuple[int, bool]]
) -> None:
    guard = ShrinkGuard()
    for found, accepted in lists:
        assert guard.confirms(known, found) is accepted
