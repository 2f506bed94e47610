"""Discovery over a real socket: pages, failures of all kinds, servers that vanish."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.app.project import ProjectParts, list_once
from exporter.clock import SystemClock
from exporter.cloud.auth import Lockouts
from exporter.cloud.observer import Unobserved
from exporter.config.config import AkskAuth, Discovery, Project, RateLimit
from exporter.config.secret import Secret
from exporter.http.errors import RequestError
from exporter.simulator import Simulator, parse_scenario, running_simulator
from exporter.simulator.scenario import Fault, FaultKind, Operation
from exporter.targets.cloud import CloudDiscovery

SERVERS = 2500


@pytest.fixture(params=["id", "url"])
async def cloud(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    """Yield a cloud with three pages of servers, which names the next page in either way."""
    scenario = parse_scenario(
        {
            "projects": [
                {
                    "name": "southwest",
                    "region": "cn-southwest-2",
                    "project_id": "0123456789abcdef0123456789abcdef",
                    "access_keys": [{"access_key": "AK", "secret_key": "sk"}],
                    "servers": [
                        {"id": "id-1", "name": "db-01", "tags": {"what for": "billing"}},
                        {"id": "id-2", "name": "off", "manage_state": "maintain"},
                    ],
                    "generate": SERVERS,
                    "markers": request.param,
                }
            ]
        }
    )
    async with running_simulator(scenario) as running:
        yield running


@pytest.fixture
def asking(cloud: Simulator, project: Callable[..., Project]) -> Project:
    discovery = Discovery(labels=(("purpose", "tags.what for"), ("rack", "location.rack")))
    return replace(
        project(endpoint=cloud.url, discovery=discovery),
        auth=AkskAuth(Secret("AK"), Secret("sk")),
        rate_limit=RateLimit(1000.0, 1000),
        timeout=2.0,
    )


async def test_every_page_is_read_and_what_is_not_in_use_is_left_out(
    cloud: Simulator, asking: Project
) -> None:
    targets = await list_once(asking, SystemClock())
    assert len({one.key for one in targets}) == len(targets) == SERVERS + 1
    labels = dict(targets[0].labels)
    assert (targets[0].name, labels["purpose"], labels["power_state"]) == ("db-01", "billing", "on")
    assert cloud.counts["southwest", "list_servers", "200"] == 3


@pytest.mark.parametrize("cloud", ["id"], indirect=True)
@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in FaultKind
        if kind
        in {"status", "reset", "drop", "garbage", "cut", "html", "empty", "bad_json", "endless",
            "gzip_bomb", "redirect", "hang", "bad_url"}
    ],
)  # fmt: skip
async def test_however_a_list_fails_it_is_an_error_of_the_cloud_and_no_empty_list(
    cloud: Simulator, asking: Project, kind: FaultKind
) -> None:
    cloud.add_fault(Fault(kind, operation=Operation.LIST_SERVERS))
    with pytest.raises(RequestError):
        await list_once(replace(asking, timeout=0.3), SystemClock())


@pytest.mark.parametrize("cloud", ["id"], indirect=True)
async def test_servers_that_vanish_from_the_list_go_when_a_second_list_says_so_too(
    cloud: Simulator, asking: Project, heard: Any
) -> None:
    parts = ProjectParts.build(asking, Unobserved(), Lockouts(SystemClock()), SystemClock())
    assert asking.discovery is not None
    discovery = CloudDiscovery(
        asking,
        asking.discovery,
        parts.client,
        send=heard.send,
        observer=heard,
        clock=SystemClock(),
    )
    vanished = Fault(FaultKind.UNLISTED, "server-*", 0.75, operation=Operation.LIST_SERVERS)
    try:
        await discovery.refresh()
        cloud.add_fault(vanished)
        with capture_logs() as logs:
            await discovery.refresh()
        assert "over half of the servers missing" in logs[0]["event"]
        cloud.remove_fault(vanished)
        await discovery.refresh()
        assert [len(sent) for sent in heard.sent] == [SERVERS + 1] * 2
        cloud.add_fault(vanished)
        with capture_logs():
            await discovery.refresh()
            await discovery.refresh()
        assert len(heard.sent) == 3
        assert len(heard.sent[-1]) < SERVERS / 2
    finally:
        await parts.aclose()
