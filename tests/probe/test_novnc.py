"""Settings in a console address: where noVNC's page opens its WebSocket."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.config import Tls
from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome
from exporter.probe.address import AddressError, ConsoleAddress
from exporter.probe.novnc import Way, ways, websocket_address
from tests.hostile.hypothesis_settings import examples
from tests.real import cloud_responses as cloud
from tests.real.broken_servers import Request
from tests.real.certificates import Certificates
from tests.real.probing import probe_once
from tests.real.raw_console import (
    PAGE,
    RELATIVE,
    ROOT,
    TOKEN,
    Gateway,
    console,
    html,
)
from tests.real.recording_resolver import RecordingResolver

NOT_FOUND = cloud.response(404)


async def probed(gateway: Gateway, resolver: RecordingResolver | None = None) -> ProbeResult:
    return await probe_once(
        gateway.api, depth=Stage.RFB, console=gateway.settings, resolver=resolver
    )


@pytest.mark.parametrize(
    "settings",
    [
        "?token={token}&host=127.0.0.1&port={port}",
        "?token={token}#host=127.0.0.1&port={port}",
        "?host=127.0.0.1#port={port}&token={token}",
        "#token={token}&host=127.0.0.1&port={port}",
        "?token={token}&port={port}",
        "?token={token}#port={port}",
        "?token={token}&host=127.0.0.1%3A{port}",
        "?token={token}&host=127.0.0.1:{port}",
        "?token={token}&host=%31%32%37.0.0.1&port={port}&encrypt=0",
        # The fragment comes first, then the last of several.
        "?token={token}&host=evil.example&port=9#host=127.0.0.1&port={port}",
        "?token={token}&host=evil.example&port=9&host=127.0.0.1&port={port}",
        # noVNC looks for the query's settings in the whole address.
        "#?token={token}&host=127.0.0.1&port={port}",
    ],
)
async def test_the_websocket_leads_to_the_host_and_port_of_the_settings(settings: str) -> None:
    async with console() as other:
        address = settings.replace("{port}", str(other.server.port)).replace("{token}", TOKEN)
        async with console(
            address=f"{{origin}}{PAGE}{address}", handshake=lambda _: NOT_FOUND
        ) as gateway:
            result = await probed(gateway)

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert [request.path for request in other.server.requests] == [f"{ROOT}?token={TOKEN}"]
    (handshake,) = other.handshakes
    assert handshake.headers["origin"] == gateway.server.url
    assert handshake.headers["cookie"] == f"token={TOKEN}"
    assert f"127.0.0.1:{other.server.port}{ROOT}" in result.stages[2].note
    assert gateway.requested_paths == [PAGE]
    # Browsers keep the fragment to themselves.
    assert "#" not in gateway.server.requests[0].path


FOLDER = "https://c.example/vnc/host"


def resolved(address: str) -> list[str]:
    """Return the WebSocket's addresses in the order of the attempts."""
    page = ConsoleAddress.parse(address)
    path = page.setting("path") or "websockify"
    return [websocket_address(page, way, path).text for way in ways(page)]


@pytest.mark.parametrize(
    ("settings", "addresses"),
    [
        ("", [f"{FOLDER}/websockify", "https://c.example/websockify"]),
        ("#path=ws", [f"{FOLDER}/ws", "https://c.example/ws"]),
        ("?token=a#path=ws", [f"{FOLDER}/ws?token=a", "https://c.example/ws?token=a"]),
        ("#path=ws%3Ftoken%3Da", [f"{FOLDER}/ws?token=a", "https://c.example/ws?token=a"]),
        ("?path=first&path=last", [f"{FOLDER}/last", "https://c.example/last"]),
        ("?path=query#path=fragment", [f"{FOLDER}/fragment", "https://c.example/fragment"]),
        ("?path=a%2Bb+c", [f"{FOLDER}/a+b+c", "https://c.example/a+b+c"]),
        ("?encrypt=1&port=443", [f"{FOLDER}/websockify", "https://c.example/websockify"]),
        ("?host=&port=&encrypt=", [f"{FOLDER}/websockify", "https://c.example/websockify"]),
        ("?xhost=a&hosts=b", [f"{FOLDER}/websockify", "https://c.example/websockify"]),
        # Since noVNC 1.6 a path may be a URL, whose scheme is the page's.
        (
            "?path=wss://b.example/ws",
            ["https://b.example/ws", "https://c.example/wss://b.example/ws"],
        ),
        (
            "?path=ws://b.example:81/w",
            ["https://b.example:81/w", "https://c.example/ws://b.example:81/w"],
        ),
        ("?path=//b.example/ws", ["https://b.example/ws", "https://c.example/b.example/ws"]),
        # A host makes the path one of that host, in every version.
        ("?host=b.example", ["https://b.example/websockify"]),
        ("?host=B.Example&path=/a/b", ["https://b.example/a/b"]),
        ("?host=c.example&path=vnc/host/ws", ["https://c.example/vnc/host/ws"]),
        ("?host=b.example&path=//x.example/ws", ["https://b.example/x.example/ws"]),
        ("?host=b.example&port=8443", ["https://b.example:8443/websockify"]),
        ("?host=b.example:8443", ["https://b.example:8443/websockify"]),
        ("?host=b.example:1&port=8443", ["https://b.example:8443/websockify"]),
        ("?host=[2001:db8::1]&port=8443", ["https://[2001:db8::1]:8443/websockify"]),
        ("?host=b.example&encrypt=0&port=80", ["http://b.example/websockify"]),
        # Up to 1.5 the page's port, since 1.6 the scheme's.
        (
            "?host=b.example&encrypt=False",
            ["http://b.example:443/websockify", "http://b.example/websockify"],
        ),
        # Up to 1.5 without a host too, since 1.6 not.
        ("?port=8443", ["https://c.example:8443/websockify", f"{FOLDER}/websockify"]),
        ("#encrypt=no", ["http://c.example:443/websockify", f"{FOLDER}/websockify"]),
    ],
)
def test_settings_are_read_as_novnc_does(settings: str, addresses: list[str]) -> None:
    assert resolved(f"https://c.example:443/vnc/host/vnc_auto.html{settings}") == addresses


def test_without_a_port_both_the_page_s_and_the_default_one_are_tried() -> None:
    assert resolved("https://c.example:6080/vnc.html?host=b.example") == [
        "https://b.example:6080/websockify",
        "https://b.example/websockify",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        *(
            "host=a/b",
            "host=a%40b.example",
            "host=a%3Fb",
            "host=2001:db8::1",
            "host=%00",
            "host=a b",
        ),
        *("port=x", "port=0", "port=65536", "port=-1", "port=1e3", "port=%D9%A3", "port=1/@b"),
        *("host=b.example:99999", "host=b.example:", "host=[::1", "host=127.1"),
    ],
)
def test_invalid_settings_give_no_address(settings: str) -> None:
    with pytest.raises(AddressError):
        resolved(f"https://c.example/vnc.html#{settings}")


@pytest.mark.parametrize("settings", ["?host=a/SECRET&port=1", "#port=SECRET"])
async def test_invalid_settings_reject_the_websocket(settings: str) -> None:
    async with console(address=f"{{origin}}{PAGE}{settings}") as gateway:
        result = await probed(gateway)

    assert (result.outcome, result.failed_stage) == (Outcome.WEBSOCKET_REJECTED, Stage.WEBSOCKET)
    assert "invalid setting" in result.detail
    assert "SECRET" not in repr(result)
    assert gateway.handshakes == []


@pytest.mark.parametrize(
    "settings",
    [
        "?host=evil.example&port=8443",
        "#host=evil.example:8443",
        "?host=evil.example#port=8443",
        "?encrypt=1&host=evil.example&port=8443&path=/vnc/ws",
    ],
)
async def test_a_host_that_is_not_allowed_is_not_connected_to(settings: str) -> None:
    names = RecordingResolver(lambda _: ["127.0.0.1"])
    async with console(address=f"{{origin}}{PAGE}{settings}") as gateway:
        result = await probed(gateway, names)

    assert (result.outcome, result.failed_stage) == (Outcome.BAD_RESPONSE, Stage.WEBSOCKET)
    assert "evil.example:8443 is not in console.allowed_hosts" in result.detail
    assert names.requested == set()
    assert gateway.handshakes == []


async def test_a_path_to_a_host_that_is_not_allowed_is_skipped_and_told() -> None:
    address = f"{{origin}}{PAGE}?path=wss://evil.example:8443/ws"
    async with console(address=address, handshake=lambda _: NOT_FOUND) as gateway:
        result = await probed(gateway)

    assert result.outcome is Outcome.WEBSOCKET_REJECTED
    assert "evil.example:8443 is not in console.allowed_hosts" in result.detail
    assert [request.path for request in gateway.handshakes] == ["/wss://evil.example:8443/ws"]


async def test_a_path_may_be_a_url_of_an_allowed_host() -> None:
    async with console() as other:
        address = f"{{origin}}{PAGE}?path=ws://127.0.0.1:{other.server.port}/a/ws&token={TOKEN}"
        async with console(address=address) as gateway:
            result = await probed(gateway)

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert [one.path for one in other.handshakes] == [f"/a/ws?token={TOKEN}"]
    assert f"own path of 127.0.0.1:{other.server.port}" in result.stages[2].note


async def test_a_port_that_nobody_listens_on_is_ignored_as_new_versions_do() -> None:
    async with console() as other:
        port = other.server.port
    async with console(address=f"{{origin}}{PAGE}?port={port}") as gateway:
        result = await probed(gateway)

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert gateway.requested_paths == [PAGE, RELATIVE]


async def test_a_host_that_nobody_listens_on_is_a_connect_error() -> None:
    async with console() as other:
        port = other.server.port
    address = f"{{origin}}{PAGE}?host=127.0.0.1&port={port}"
    async with console(address=address) as gateway:
        result = await probed(gateway)

    assert (result.outcome, result.failed_stage) == (Outcome.CONNECT_ERROR, Stage.WEBSOCKET)
    assert f"127.0.0.1:{port}" in result.detail


async def test_a_page_over_http_may_open_an_encrypted_websocket(tmp_path: Path) -> None:
    certificates = Certificates()
    trust = Tls(ca_file=certificates.write_authority(tmp_path / "ca.pem"))
    async with console(tls=certificates.good()) as other:
        address = f"{{origin}}{PAGE}?host=127.0.0.1&port={other.server.port}&encrypt=true"
        async with console(address=address, trust=trust) as gateway:
            result = await probed(gateway)

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert len(other.handshakes) == 1


async def test_the_token_cookie_is_not_sent_to_another_host() -> None:
    names = RecordingResolver(lambda _: ["127.0.0.1"])
    async with console() as other:
        address = f"{{origin}}{PAGE}?token={TOKEN}&host=console.example&port={other.server.port}"
        async with console(
            address=address,
            allowed=("127.0.0.1", "console.example"),
            page=html(Set_Cookie="route=1; Path=/"),
        ) as gateway:
            result = await probed(gateway, names)

    assert result.outcome is Outcome.SUCCESS, result.detail
    (handshake,) = other.handshakes
    assert handshake.path == f"{ROOT}?token={TOKEN}"
    assert "cookie" not in handshake.headers


async def test_a_configured_path_is_requested_from_the_host_of_the_settings() -> None:
    async with console() as other:
        address = f"{{origin}}{PAGE}?token={TOKEN}&port={other.server.port}&path=unused"
        async with console(address=address, path="/vnc/{server_name}/ws") as gateway:
            result = await probed(gateway)

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert [one.path for one in other.handshakes] == [f"/vnc/db-01/ws?token={TOKEN}"]


@pytest.mark.parametrize("location", [PAGE, f"{PAGE}#"])
async def test_a_redirect_keeps_the_fragment_unless_it_has_one(location: str) -> None:
    def page(request: Request) -> bytes:
        if request.path == "/start":
            return cloud.response(302, Location=location)
        return html()

    address = f"{{origin}}/start#path=ws&token={TOKEN}"
    async with console(address=address, page=page) as gateway:
        result = await probed(gateway)

    assert result.outcome is Outcome.SUCCESS, result.detail
    expected = RELATIVE if location.endswith("#") else f"{PAGE.rpartition('/')[0]}/ws?token={TOKEN}"
    assert [one.path for one in gateway.handshakes] == [expected]
    assert [request.path for request in gateway.server.requests[:2]] == ["/start", PAGE]


@examples(300)
@given(
    st.text(max_size=20),
    st.lists(
        st.tuples(
            st.sampled_from(["host", "port", "path", "encrypt", "token"]),
            st.sampled_from(["?", "&", "#"]),
            st.text(max_size=12) | st.sampled_from(["//evil.example", "b.example", "8443", "%zz"]),
        ),
        max_size=5,
    ),
)
def test_any_settings_give_valid_addresses_or_none(
    text: str, settings: list[tuple[str, str, str]]
) -> None:
    tail = "".join(f"{before}{name}={value}" for name, before, value in settings)
    try:
        page = ConsoleAddress.parse(f"https://c.example/vnc.html{tail}{text}")
        assert "#" not in page.text
        possible = ways(page)
    except AddressError:
        return
    assert len(set(possible)) == len(possible) > 0
    for way in possible:
        try:
            found = websocket_address(page, way, page.setting("path") or "websockify")
        except AddressError:
            continue
        assert found.scheme in {"http", "https"}
        if page.setting("host") and way is Way.ROOT:
            host = page.setting("host")
            assert found.bracketed_host in host.lower() or not host.isascii()
