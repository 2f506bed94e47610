"""The cloud's list: what is taken of it, and when it is believed."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.cloud.server_list import ListedServer
from exporter.config.config import Discovery, Project
from exporter.http.errors import BadResponseError, NoResponse, NoResponseError, RequestError
from exporter.model import TargetKey
from exporter.targets.cloud import CloudDiscovery
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
    """Answers each listing with the pages, or the error, that are next."""

    answers: list[list[list[ListedServer]] | RequestError | Exception]
    asked: list[tuple[str | None, float]] = field(default_factory=list)

    async def server_pages(
        self,
        *,
        manage_state: str | None,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[list[ListedServer]]:
        self.asked.append((manage_state, timeout))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for page in answer:
            yield page


Build = Callable[..., CloudDiscovery]


@pytest.fixture
def build(project: Callable[..., Project], heard: Any, clock: Any) -> Build:
    def build(lister: FakeLister, discovery: Discovery = Discovery(), known: int = 0) -> Any:  # noqa: B008
        return CloudDiscovery(
            project(discovery=discovery),
            discovery,
            lister,
            send=heard.send,
            observer=heard,
            clock=clock,
            known=known,
        )

    return build


async def test_a_listed_server_becomes_a_target_with_what_the_cloud_says_of_it(
    build: Build, heard: Any, clock: Any
) -> None:
    mapping = (("rack", "location.rack"), ("room", "location.room"), ("team", "tags.team"))
    lister = FakeLister([[[record("id-1", "db-01", power_state="off")], [record("id-2")]]])
    assert await build(lister, Discovery(labels=mapping)).refresh() == 300
    first, second = heard.sent[0]
    assert first.key == TargetKey("southwest", "id-1")
    assert (first.name, first.region) == ("db-01", "cn-southwest-2")
    assert (first.interval, first.timeout, first.depth) == (60, 5, "api")
    assert dict(first.labels) == {
        "rack": "r12", "team": "storage", "power_state": "off", "health_state": "OK",
    }  # fmt: skip
    assert list(first.labels) == sorted(first.labels)
    assert second.key.server_id == "id-2"
    assert lister.asked == [("in-use", 5.0)]
    assert heard.refreshes == [("cloud", clock.time())]


@pytest.mark.parametrize(
    ("states", "asked", "taken"),
    [
        (("in-use",), "in-use", ["in-use"]),
        (("in-use", "maintain"), None, ["in-use", "maintain"]),
        ((), None, ["in-use", "maintain", "ready", ""]),
    ],
)
async def test_the_cloud_filters_by_one_state_and_we_by_any(
    build: Build, heard: Any, states: tuple[str, ...], asked: str | None, taken: list[str]
) -> None:
    page = [record(f"id{s}", manage_state=s) for s in ("in-use", "maintain", "ready", "")]
    lister = FakeLister([[page]])
    await build(lister, Discovery(manage_state=states)).refresh()
    assert lister.asked == [(asked, 5.0)]
    assert heard.ids == [f"id{state}" for state in taken]


async def test_the_whole_name_must_match(build: Build, heard: Any) -> None:
    page = [record("1", "db-01"), record("2", "db-011"), record("3", "old-db-01")]
    discovery = Discovery(name_regex=re.compile(r"db-\d\d"))
    await build(FakeLister([[page]]), discovery).refresh()
    assert heard.ids == ["1"]


async def test_a_server_that_comes_twice_is_one_target(build: Build, heard: Any) -> None:
    pages = [[record("1", "old"), record("2")], [record("1", "new")]]
    await build(FakeLister([pages])).refresh()
    assert [(one.key.server_id, one.name) for one in heard.sent[0]] == [("1", "new"), ("2", "2")]


async def test_what_does_not_keep_to_our_bounds_is_left_out_counted_and_told_once(
    build: Build, heard: Any
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
    assert heard.ids == ["good", "name-1", "name-2", "label-1", "state-1"]
    assert [one.name for one in heard.sent[0]][1:3] == ["name-1", "name-2"]
    by_id = {one.key.server_id: dict(one.labels) for one in heard.sent[0]}
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
async def test_a_failed_list_changes_nothing_and_is_asked_for_again_soon_then_rarely(
    build: Build, heard: Any, failure: Exception
) -> None:
    discovery = build(FakeLister([[records(3)], *([failure] * 7), [records(4)], failure]))
    with capture_logs() as logs:
        pauses = [await discovery.refresh() for _ in range(10)]
    assert pauses == [300, 10, 20, 40, 80, 160, 300, 300, 300, 10]
    assert [len(sent) for sent in heard.sent] == [3, 4]
    assert heard.failures == ["cloud"] * 8
    assert logs[0]["event"] == "listing the cloud's servers failed"
    assert (logs[0]["why"], logs[0]["kept"]) == (str(failure), 3)


async def test_a_fault_of_ours_does_not_end_discovery(build: Build, heard: Any, clock: Any) -> None:
    lister = FakeLister([RuntimeError("a fault of ours"), [records(4)]])
    with capture_logs() as logs:
        running = asyncio.create_task(build(lister).run())
        for _ in range(1000):
            await clock.advance(10)
            # Pages are read by a thread.
            await asyncio.sleep(0.001)
            if heard.sent:
                break
        running.cancel()
    assert [len(sent) for sent in heard.sent] == [4]
    assert heard.failures == ["cloud"]
    assert logs[0]["event"] == "unexpected discovery error"


async def test_a_list_that_lost_over_half_is_asked_for_again_before_it_is_believed(
    build: Build, heard: Any
) -> None:
    lister = FakeLister([[records(10)], [records(4)], [records(10)], [records(4)], [records(4)]])
    discovery = build(lister)
    assert await discovery.refresh() == 300
    with capture_logs() as logs:
        assert await discovery.refresh() == 60
    assert (logs[0]["listed"], logs[0]["kept"], logs[0]["again_in_seconds"]) == (4, 10, 60)
    assert logs[0]["log_level"] == "warning"
    # Unconfirmed: it was the cloud's trouble.
    assert await discovery.refresh() == 300
    assert [len(sent) for sent in heard.sent] == [10, 10]
    # Confirmed.
    assert await discovery.refresh() == 60
    assert await discovery.refresh() == 300
    assert [len(sent) for sent in heard.sent] == [10, 10, 4]


async def test_the_confirming_list_never_comes_later_than_the_next_one_would(build: Build) -> None:
    lister = FakeLister([[records(10)], [[]]])
    discovery = build(lister, Discovery(refresh_interval=20.0))
    await discovery.refresh()
    assert await discovery.refresh() == 20


async def test_a_discovery_that_goes_on_after_a_reload_doubts_too(build: Build, heard: Any) -> None:
    await build(FakeLister([[[]]]), known=10).refresh()
    assert heard.sent == []


@pytest.mark.parametrize(
    ("known", "lists"),
    [
        (10, [(5, True)]),
        (10, [(4, False), (4, True)]),
        (10, [(0, False), (0, True)]),
        (10, [(4, False), (9, True), (4, False)]),
        # Less and less each time is no confirmation.
        (100, [(40, False), (10, False), (2, False), (1, True)]),
        (0, [(0, True), (7, True)]),
    ],
)
def test_a_shrunk_list_needs_a_second_one_like_it(
    known: int, lists: list[tuple[int, bool]]
) -> None:
    guard = ShrinkGuard()
    for found, believed in lists:
        assert guard.confirms(known, found) is believed
