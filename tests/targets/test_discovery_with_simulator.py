"""Tests of discovery against the simulated cloud: pages, failures, missing servers."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from exporter.app.project import ProjectParts, list_once
from exporter.clock import SystemClock
from exporter.cloud.auth import Lockouts
from exporter.cloud.observer import Unobserved
from exporter.config.config import AkskAuth, Discovery, Project, RateLimit
from exporter.config.secret import Secret
from exporter.simulator import Simulator, parse_scenario, running_simulator
from exporter.simulator.scenario import Fault, FaultKind
from exporter.simulator.section import parse
from exporter.targets.cloud_discovery import CloudDiscovery

SERVERS = 2500


@pytest.fixture(params=["id", "url"])
async def cloud(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    """Run a cloud with three pages of servers, with both kinds of page markers."""
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
def cloud_project(cloud: Simulator, project: Callable[..., Project]) -> Project:
    discovery = Discovery(labels=(("purpose", "tags.what for"), ("rack", "location.rack")))
    return replace(
        project(endpoint=cloud.url, discovery=discovery),
        auth=AkskAuth(Secret("AK"), Secret("sk")),
        rate_limit=RateLimit(1000.0, 1000),
        timeout=2.0,
    )


async def test_all_pages_are_read_and_servers_not_in_use_are_left_out(
    cloud: Simulator, cloud_project: Project
) -> None:
    targets = await list_once(cloud_project, SystemClock())
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
async def test_a_failed_list_is_an_error_and_not_an_empty_list(
    cloud: Simulator, cloud_project: Project, kind: FaultKind
) -> None:
    fault = {"kind": kind.value, "operation": "list_servers"}
    needed = {"status": 500} if kind is FaultKind.STATUS else {}
    cloud.add_fault(parse(Fault, {**fault, **needed}))
    with pytest.raises(httpx.RequestError):
        await list_once(replace(cloud_project, timeout=0.3), SystemClock())


@pytest.mark.parametrize("cloud", ["id"], indirect=True)
async def test_many_missing_servers_are_removed_only_after_a_second_list(
    cloud: Simulator, cloud_project: Project, observer: Any
) -> None:
    parts = ProjectParts.build(cloud_project, Unobserved(), Lockouts(SystemClock()), SystemClock())
    assert cloud_project.discovery is not None
    discovery = CloudDiscovery(
        cloud_project,
        cloud_project.discovery,
        parts.client,
        send=observer.send,
        observer=observer,
        clock=SystemClock(),
    )
    missing = Fault(kind=FaultKind.UNLISTED, servers="server-*", fraction=0.75)
    try:
        await discovery.refresh()
        cloud.add_fault(missing)
        with capture_logs() as logs:
            await discovery.refresh()
        assert "over half of the servers missing" in logs[0]["event"]
        cloud.remove_fault(missing)
        await discovery.refresh()
        assert [len(sent) for sent in observer.sent] == [SERVERS + 1] * 2
        cloud.add_fault(missing)
        with capture_logs():
            await discovery.refresh()
            await discovery.refresh()
        assert len(observer.sent) == 3
        assert len(observer.sent[-1]) < SERVERS / 2
    finally:
        await parts.aclose()
