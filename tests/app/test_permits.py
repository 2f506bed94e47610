"""Whatever way a request takes to the cloud, it holds a permit when it reaches the wire."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from exporter.app.exporter import Exporter
from exporter.app.project import list_once, probe_once
from exporter.config.config import Config
from exporter.config.load import load
from exporter.http.errors import NoResponse, no_response
from exporter.ratelimit.throttle import Permit, Throttle
from exporter.targets.static import targets_of
from tests.http.responses import received

if TYPE_CHECKING:
    from tests.conftest import FakeClock

_CONFIG = """
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: "0123"
    endpoint: https://clouddc.example
    rate_limit: {requests_per_second: 100, burst: 100}
    auth:
      type: password
      iam_endpoint: https://iam.example
      username: monitor
      password: a
      domain: d
    discovery: {}
    servers: [{id: a}]
"""
LOGIN, PROBE, LIST = "create_token", "remote_console", "list_servers"


@dataclass
class CountingWire(httpx.AsyncBaseTransport):
    """Counts permits and requests; ``faults`` are returned or raised before good responses."""

    faults: list[httpx.Response | Exception] = field(default_factory=list)
    granted: int = 0
    sent: list[str] = field(default_factory=list)

    def __call__(self, **_options: object) -> "CountingWire":
        """Replace the constructor of the wire's transport."""
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        operation = request.extensions["operation"]
        self.sent.append(operation)
        assert len(self.sent) <= self.granted, f"{operation} was sent without a permit"
        if operation == LOGIN:
            token = {"token": {"expires_at": "2100-01-01T00:00:00.0Z"}}
            return received(201, {"x-subject-token": "t"}, json.dumps(token).encode())
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            return fault
        if operation == LIST:
            is_first = "marker" not in request.url.params
            servers = [{"id": "b"}] if is_first else []
            return received(200, body=json.dumps({"servers": servers}).encode())
        return received(200, body=b'{"url": "https://c.huaweicloud.com/vnc.html?token=t"}')

    async def aclose(self) -> None:
        """Do nothing."""


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> CountingWire:
    counting = CountingWire()
    permit = Throttle.permit

    async def counted(throttle: Throttle, due: float) -> Permit:
        granted = await permit(throttle, due)
        counting.granted += 1
        return granted

    monkeypatch.setattr(Throttle, "permit", counted)
    monkeypatch.setattr("exporter.app.project.WireTransport", counting)
    return counting


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "config.yaml"
    file.write_text(_CONFIG)
    return load(file, {})


Way = Callable[[Config, "FakeClock"], Awaitable[None]]


async def scheduled(config: Config, clock: "FakeClock") -> None:
    exporter = Exporter(config, version="0", clock=clock)
    await exporter.start()
    await clock.advance(60.0)
    exporter.scheduler.serve_slots(60.0)
    await clock.advance(1.0)
    await exporter.stop()


async def on_demand(config: Config, clock: "FakeClock") -> None:
    exporter = Exporter(config, version="0", clock=clock)
    (target,) = targets_of(config)
    await exporter.on_demand.probe_now(target, 5.0)
    await exporter.stop()


async def command_line_probe(config: Config, clock: "FakeClock") -> None:
    (target,) = targets_of(config)
    await probe_once(config.projects[0], target, clock)


async def command_line_list(config: Config, clock: "FakeClock") -> None:
    await list_once(config.projects[0], clock)


STALE = no_response(NoResponse.CLOSED, "closed", stale=True)
CLOSED = no_response(NoResponse.CLOSED, "closed")
REJECTED = received(401)


@pytest.mark.parametrize(
    ("way", "faults", "sent"),
    [
        pytest.param(on_demand, [], {LOGIN: 1, PROBE: 1}, id="on demand"),
        pytest.param(on_demand, [REJECTED], {LOGIN: 2, PROBE: 2}, id="renewed after a 401"),
        pytest.param(on_demand, [STALE], {LOGIN: 1, PROBE: 2}, id="repeated once"),
        pytest.param(on_demand, [CLOSED], {LOGIN: 1, PROBE: 1, LIST: 1}, id="control request"),
        pytest.param(command_line_probe, [], {LOGIN: 1, PROBE: 1}, id="command line"),
        # The second page is empty, and ends the list.
        pytest.param(command_line_list, [], {LOGIN: 1, LIST: 2}, id="list"),
        pytest.param(command_line_list, [REJECTED], {LOGIN: 2, LIST: 3}, id="list after a 401"),
    ],
)
async def test_every_request_holds_a_permit(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    wire: CountingWire,
    config: Config,
    clock: "FakeClock",
    way: Way,
    faults: list[Any],
    sent: dict[str, int],
) -> None:
    wire.faults = list(faults)
    await way(config, clock)

    assert Counter(wire.sent) == sent
    assert wire.granted == len(wire.sent)


async def test_scheduled_probes_and_lists_hold_permits(
    wire: CountingWire, config: Config, clock: "FakeClock"
) -> None:
    await scheduled(config, clock)

    assert Counter(wire.sent).keys() >= {LOGIN, PROBE, LIST}
    assert wire.granted == len(wire.sent)
