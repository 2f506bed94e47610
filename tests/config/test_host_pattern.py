"""Hosts that an entry of ``allowed_hosts`` matches."""

from ipaddress import ip_address

import pytest

from exporter.config.host_pattern import HostPattern, host_of


def allows(entry: str, host: str, port: int = 443) -> bool:
    return HostPattern.parse(entry).covers(host_of(host), port)


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("console.example.com", "console.example.com"),
        ("console.example.com", "CONSOLE.Example.COM"),
        ("console.example.com", "console.example.com."),
        ("console.example.com.", "console.example.com"),
        ("*.example.com", "a.example.com"),
        ("*.example.com", "a.b.example.com."),
        ("*.Example.com", "a.EXAMPLE.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.xn--bcher-kva.example", "a.Bücher.example"),
        ("*.example.com", "a。example。com"),
        ("192.0.2.7", "192.0.2.7"),
        ("10.0.0.0/8", "10.255.0.1"),
        ("fd00::/8", "fd12::1"),
        ("[fd00::1]", "fd00:0::1"),
        ("localhost", "localhost"),
        ("*.huaweicloud.com", "cn-southwest-242-console.huaweicloud.com"),
    ],
)
def test_entry_allows_matching_hosts(entry: str, host: str) -> None:
    assert allows(entry, host)


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("console.example.com", "a.console.example.com"),
        ("console.example.com", "console.example.co"),
        ("*.example.com", "example.com"),
        ("*.example.com", "evilexample.com"),
        ("*.example.com", "a.example.com.evil.org"),
        ("*.example.com", "example.com.evil.org"),
        ("10.0.0.0/8", "11.0.0.1"),
        ("10.0.0.0/8", "10.example.com"),
        ("10.0.0.0/8", "::ffff:10.0.0.1"),
        ("192.0.2.7", "192.0.2.70"),
    ],
)
def test_entry_does_not_allow_similar_hosts(entry: str, host: str) -> None:
    assert not allows(entry, host)


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("console.example.com:8443", "console.example.com", 8443),
        ("*.example.com:8443", "a.example.com", 8443),
        ("192.0.2.7:8443", "192.0.2.7", 8443),
        ("[fd00::1]:8443", "fd00::1", 8443),
        ("10.0.0.0/8:8443", "10.0.0.1", 8443),
    ],
)
def test_entry_with_a_port_allows_only_that_port(entry: str, host: str, port: int) -> None:
    assert allows(entry, host, port)
    assert not allows(entry, host, 443)
    assert allows(entry.removesuffix(":8443"), host, 443)


def test_names_matches_only_entries_without_a_wildcard() -> None:
    assert HostPattern.parse("a.example.com").names("a.example.com", 443)
    assert HostPattern.parse("10.0.0.0/8").names(ip_address("10.0.0.1"), 443)
    assert not HostPattern.parse("*.example.com").names("a.example.com", 443)


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "1.2.3.4.5",
        "example.0x7f",
        "fe80::1%eth0",
        "xn--a.example.org",
        "xn--zzzz.example.org",
        "a..b",
        "-a.example",
        "a b.example",
        "a%2e.example",
        "a/b.example",
        "",
        ".",
        "x" * 64,
        ".".join(["x" * 60] * 5),
    ],
)
def test_invalid_host_is_rejected(host: str) -> None:
    with pytest.raises(ValueError, match="it is"):
        host_of(host)
