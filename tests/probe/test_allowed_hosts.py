"""Which hosts console connections may use, and which they may not."""

from urllib.parse import urlsplit

import pytest

from exporter.config.config import Console
from exporter.config.host_pattern import HostPattern
from exporter.http.connection import Check
from exporter.http.errors import ForbiddenAddressError
from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome
from exporter.probe.allowed_hosts import AllowedHosts
from tests.real.probing import probe_once
from tests.real.raw_console import PAGE, TOKEN, console
from tests.real.recording_resolver import RecordingResolver


def allowed(*entries: str) -> AllowedHosts:
    return AllowedHosts(tuple(HostPattern.parse(entry) for entry in entries))


async def probe_address(
    address: str, *entries: str, resolves_to: tuple[str, ...] = ()
) -> ProbeResult:
    settings = Console(allowed_hosts=tuple(HostPattern.parse(entry) for entry in entries))
    async with console(address=address) as gateway:
        result = await probe_once(
            gateway.api,
            depth=Stage.RFB,
            console=settings,
            resolver=RecordingResolver(lambda _: resolves_to),
        )
        assert gateway.server.connections == 0
    return result


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example/x",
        "https://console.example.evil.org/x",
        "https://evilconsole.example/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://127.1/",
    ],
)
async def test_an_unlisted_host_is_a_bad_response_without_any_connection(
    address: str,
) -> None:
    names = RecordingResolver(lambda _: ["127.0.0.1"])
    settings = Console(allowed_hosts=(HostPattern.parse("*.console.example"),))
    async with console(address=f"{address}?token={TOKEN}") as gateway:
        result = await probe_once(gateway.api, depth=Stage.PAGE, console=settings, resolver=names)

    assert (result.outcome, result.failed_stage) == (Outcome.BAD_RESPONSE, Stage.API)
    assert names.requested == set()
    assert (
        urlsplit(address).netloc.strip("[]") in result.detail or "not an http(s)" in result.detail
    )


async def test_at_depth_api_the_host_of_the_address_is_not_checked() -> None:
    async with console(address=f"https://elsewhere.example/x?token={TOKEN}") as gateway:
        result = await probe_once(gateway.api, depth=Stage.API)

    assert result.outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.1",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "fd00::1",
        "169.254.169.254",
        "fe80::1",
        "100.64.0.1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "240.0.0.1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
async def test_a_name_that_resolves_to_a_non_public_address_is_rejected(address: str) -> None:
    result = await probe_address(
        f"https://a.console.example{PAGE}", "*.console.example", resolves_to=(address,)
    )

    assert (result.outcome, result.failed_stage) == (Outcome.BAD_RESPONSE, Stage.PAGE)
    assert "not a public address" in result.detail
    assert "console.allowed_hosts" in result.detail


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f::1", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    allowed("*.console.example").check_resolved("a.console.example", 443, address)


@pytest.mark.parametrize("entry", ["a.console.example", "10.0.0.0/8"])
def test_private_addresses_are_allowed_if_host_or_network_is_listed(entry: str) -> None:
    allowed("*.console.example", entry).check_resolved("a.console.example", 443, "10.1.2.3")


def test_listing_one_host_does_not_allow_private_addresses_of_another() -> None:
    hosts = allowed("*.console.example", "a.console.example")
    with pytest.raises(ForbiddenAddressError):
        hosts.check_resolved("b.console.example", 443, "10.1.2.3")


def test_only_the_public_addresses_of_a_name_are_used() -> None:
    check = Check(allowed("*.console.example"), "a.console.example", 443)

    assert check.allowed(["10.0.0.1", "93.184.215.14"]) == ["93.184.215.14"]


async def test_a_name_that_resolves_to_loopback_works_if_listed_by_name() -> None:
    async with console(allowed=["a.console.example"]) as gateway:
        port = gateway.server.port
        address = f"http://a.console.example:{port}{PAGE}?token={TOKEN}"
        async with console(address=address) as api:
            result = await probe_once(
                api.api,
                depth=Stage.RFB,
                console=gateway.settings,
                resolver=RecordingResolver(lambda _: ["127.0.0.1"]),
            )

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert gateway.handshakes[0].headers["origin"] == f"http://a.console.example:{port}"


async def test_plain_http_is_rejected_for_hosts_matched_by_a_wildcard() -> None:
    result = await probe_address(f"http://a.console.example{PAGE}", "*.console.example")

    assert (result.outcome, result.failed_stage) == (Outcome.BAD_RESPONSE, Stage.API)
    assert "plain http" in result.detail


@pytest.mark.parametrize("port", [8443, 22])
async def test_an_entry_with_a_port_allows_only_that_port(port: int) -> None:
    result = await probe_address(
        f"https://a.console.example:{port}/", "a.console.example:443", resolves_to=("127.0.0.1",)
    )

    assert (result.outcome, result.failed_stage) == (Outcome.BAD_RESPONSE, Stage.API)
