"""Huawei Cloud's official SDK, with its own signer, works against the simulator."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huaweicloudsdkclouddc.v1 import CloudDCClient, ListServersRequest, ShowRemoteConsoleRequest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

from exporter.simulator import Simulator, parse_scenario, running_simulator
from exporter.simulator.scenario import Fault, FaultKind, QuotaSpec

_ALPHA = "0123456789abcdef0123456789abcdef"
Sdk = Callable[..., Any]


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    """Return a function that creates clients of the official SDK; close them after the test."""
    clients = []

    def make(simulator: Simulator, secret_key: str = "sk-alpha") -> Any:
        client = (
            CloudDCClient.new_builder()
            .with_credentials(BasicCredentials("AKALPHA", secret_key, _ALPHA))
            .with_endpoint(simulator.url)
            .build()
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


async def test_sdk_lists_all_servers_and_gets_a_console_address(
    document: dict[str, Any], sdk: Sdk
) -> None:
    document["projects"][0]["generate"] = 22
    async with running_simulator(parse_scenario(document)) as simulator:

        def work() -> tuple[list[Any], int, str]:
            client = sdk(simulator)
            servers, marker, pages = [], None, 0
            while True:
                page = client.list_servers(ListServersRequest(marker=marker, limit=10))
                servers += page.servers
                pages += 1
                marker = page.page_info.next_marker
                if not marker:
                    break
            response = client.show_remote_console(ShowRemoteConsoleRequest(id=servers[0].id))
            return servers, pages, response.url

        servers, pages, url = await asyncio.to_thread(work)
        expected = [server.id for server in simulator.servers("alpha")]
        base = simulator.url
    assert [server.id for server in servers] == expected
    assert (len(servers), pages) == (25, 3)
    assert (servers[0].name, servers[0].power_state) == ("db-01", "on")
    assert (servers[0].manage_state, servers[0].health_state) == ("in-use", "OK")
    assert (servers[0].tags[0].key, servers[0].tags[0].value) == ("team", "storage")
    assert servers[0].location.dc == "cn-north-1a"
    assert url.startswith(f"{base}/vnc/db-01.cn-north-1/vnc_auto.html?token=")


async def test_sdk_filters_servers_by_manage_state(document: dict[str, Any], sdk: Sdk) -> None:
    async with running_simulator(parse_scenario(document)) as simulator:
        request = ListServersRequest(manage_state="ready", limit=10)
        page = await asyncio.to_thread(lambda: sdk(simulator).list_servers(request))
    assert [server.id for server in page.servers] == ["id-2"]
    assert page.count == 1


@pytest.mark.parametrize(
    ("secret_key", "quota", "fault", "status", "code"),
    [
        ("wrong", None, None, 401, "APIGW.0301"),
        ("sk-alpha", QuotaSpec(limit=1, window=60), None, 429, "429"),
        ("sk-alpha", None, Fault(kind=FaultKind.STATUS, status=404), 404, "iMetal.0100"),
        (
            *("sk-alpha", None),
            *(
                Fault(kind=FaultKind.STATUS, status=400, error_code="iMetal.0101"),
                400,
                "iMetal.0101",
            ),
        ),
    ],
)
async def test_sdk_parses_the_errors(  # noqa: PLR0913, PLR0917 - a table's row
    document: dict[str, Any],
    sdk: Sdk,
    secret_key: str,
    quota: QuotaSpec | None,
    fault: Fault | None,
    status: int,
    code: str,
) -> None:
    async with running_simulator(parse_scenario(document)) as simulator:
        simulator.set_quota("alpha", quota)
        simulator.set_faults([fault] if fault else [])

        def work() -> None:
            client = sdk(simulator, secret_key)
            for _ in range(2):
                client.show_remote_console(ShowRemoteConsoleRequest(id="id-1"))

        with pytest.raises(ClientRequestException) as caught:
            await asyncio.to_thread(work)
    assert caught.value.status_code == status
    assert caught.value.error_code == code
