"""No address from the cloud or a redirect leads to a connection outside the allow-list.

The tests check the names that are resolved and the addresses that sockets connect to, not how a
URL is parsed.
"""

import hashlib
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.config.config import Console
from exporter.config.host_pattern import HostPattern
from exporter.http.connection import open_socket
from exporter.model import Stage
from exporter.outcome import Outcome
from tests.real import cloud_responses as cloud
from tests.real.probing import probe_once
from tests.real.raw_console import console
from tests.real.recording_resolver import RecordingResolver

LISTED = ("*.console.example", "kvm.example", "203.0.113.7", "10.9.0.0/16")
PUBLIC = ("93.184.215.14", "2606:2800:21f::1")
ADDRESSES = (*PUBLIC, "127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1")

hosts = st.sampled_from(
    [
        "a.console.example",
        "a.b.console.example.",
        "A.CONSOLE.EXAMPLE",
        "console.example",
        "kvm.example",
        "b.kvm.example",
        "evilconsole.example",
        "a.console.example.evil.org",
        "evil.org",
        "203.0.113.7",
        "203.0.113.8",
        "10.9.1.1",
        "10.8.1.1",
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1%25lo]",
        "localhost",
        "a。console。example",
        "\uff41.console.example",
        "evil.org\uff0f.console.example",
        "evil.org%2f.console.example",
        "evil.org%00.console.example",
        "evil.org℀.console.example",
        "ⓔvil.org",
        "xn--.console.example",
    ]
)
glue = st.sampled_from(
    [
        "",
        "",
        "",
        "@",
        ":",
        ":443",
        ":80@",
        "#",
        "?",
        "/",
        "//",
        "\\",
        "\\@",
        "%40",
        ".",
        " ",
        "\t",
        "\n",
    ]
)
schemes = st.sampled_from(
    [
        "https://",
        "http://",
        "HTTPS://",
        "https:",
        "https:/",
        "https:///",
        "//",
        "ws://",
        "ftp://",
        "",
    ]
)
addresses = st.one_of(
    st.builds("{}{}{}{}{}".format, schemes, hosts, glue, hosts, glue),
    st.builds("{}{}{}/vnc/x.html?token=t".format, schemes, hosts, glue),
    st.builds("https://{}".format, st.text(max_size=40)),
    st.text(max_size=60),
)


def addresses_of(name: str) -> set[str]:
    """Return one or two addresses of any kind, always the same for one name."""
    digest = hashlib.sha256(name.encode()).digest()
    return {ADDRESSES[digest[0] % len(ADDRESSES)], ADDRESSES[digest[1] % len(ADDRESSES)]}


def is_listed(name: str) -> bool:
    """Return whether a pattern in `LISTED` matches, by a simpler algorithm than the exporter's."""
    labels = name.lower().rstrip(".").split(".")
    return labels == ["kvm", "example"] or (
        len(labels) > 2 and labels[-2:] == ["console", "example"] and all(labels)
    )


def is_allowed(address: str, names: RecordingResolver) -> bool:
    if address == "203.0.113.7" or address.startswith("10.9."):
        return True
    if address in PUBLIC:
        return any(is_listed(name) for name in names.hosts_by_address.get(address, ()))
    return "kvm.example" in {name.rstrip(".") for name in names.hosts_by_address.get(address, ())}


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """Record every connection attempt, and block those to other than the test servers."""
    found: list[tuple[str, int]] = []

    def connect(*where: Any) -> socket.socket:
        *_, address = where
        if (address[0], address[1]) in _TEST_SERVERS:
            return open_socket(*where)
        found.append((address[0], address[1]))
        raise ConnectionRefusedError

    monkeypatch.setattr("exporter.http.transfer.open_socket", connect)
    yield found
    _TEST_SERVERS.clear()


_TEST_SERVERS: set[tuple[str, int]] = set()
FUZZING = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def assert_all_allowed(names: RecordingResolver, connected: list[tuple[str, int]]) -> None:
    assert all(is_listed(name) for name in names.requested), names.requested
    assert all(is_allowed(address, names) for address, _ in connected), connected
    assert all(ip_address(address) for address, _ in connected)


@FUZZING
@given(address=addresses)
@example(address="https://a.console.example/x")
@example(address="https://203.0.113.7/x")
async def test_no_address_from_the_api_connects_to_an_unlisted_host(
    connected: list[tuple[str, int]], address: str
) -> None:
    connected.clear()
    names = RecordingResolver(addresses_of)
    async with console(address=address.replace("{", "(")) as gateway:
        _TEST_SERVERS.add((gateway.server.host, int(gateway.api.rpartition(":")[2])))
        result = await probe_once(
            gateway.api,
            depth=Stage.RFB,
            console=Console(tuple(HostPattern.parse(entry) for entry in LISTED)),
            resolver=names,
            timeout=2,
        )

    assert_all_allowed(names, connected)
    is_loop_blocked = "exporter itself was blocked" in result.detail
    assert result.outcome is not Outcome.INTERNAL_ERROR or is_loop_blocked
    assert result.outcome is not Outcome.SUCCESS


@FUZZING
@given(address=addresses)
@example(address="https://a.console.example/x")
@example(address="//kvm.example/x")
async def test_no_redirect_connects_to_an_unlisted_host(
    connected: list[tuple[str, int]], address: str
) -> None:
    connected.clear()
    names = RecordingResolver(addresses_of)
    location = address.encode("utf-8", "replace").decode("latin-1")
    page = cloud.response(302, Location="".join(c for c in location if c not in "\r\n\0"))
    async with console(page=page) as gateway:
        _TEST_SERVERS.add((gateway.server.host, int(gateway.api.rpartition(":")[2])))
        _TEST_SERVERS.add((gateway.server.host, gateway.server.port))
        here = f"127.0.0.1:{gateway.server.port}"
        result = await probe_once(
            gateway.api,
            depth=Stage.RFB,
            console=Console(tuple(HostPattern.parse(entry) for entry in (*LISTED, here))),
            resolver=names,
            timeout=2,
        )

    assert_all_allowed(names, connected)
    is_loop_blocked = "exporter itself was blocked" in result.detail
    assert result.outcome is not Outcome.INTERNAL_ERROR or is_loop_blocked
