"""Stage page: which responses are a console page, and which are not."""

import gzip
import zlib

import pytest

from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome
from tests.real import broken_servers, silent_ports
from tests.real import cloud_responses as cloud
from tests.real.broken_responses import answers_and_closes, answers_and_stalls, trickles
from tests.real.broken_servers import Behaviour, BrokenServer, Request
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.probing import AMPLE_TIMEOUT, DEEP_TIMEOUT, probe_once, probing
from tests.real.raw_console import ADDRESS, HTML, PAGE, TOKEN, console, html


async def probe_page(
    page: bytes, *, depth: Stage = Stage.PAGE, address: str | None = None
) -> ProbeResult:
    async with console(page=page, address=address or ADDRESS) as gateway:
        return await probe_once(gateway.api, depth=depth, console=gateway.settings)


async def test_an_html_page_is_a_success_with_two_timed_stages() -> None:
    result = await probe_page(html())

    assert (result.outcome, result.failed_stage, result.status_code) == (Outcome.SUCCESS, None, 200)
    assert [timing.stage for timing in result.stages] == [Stage.API, Stage.PAGE]
    assert all(timing.seconds > 0 for timing in result.stages)
    assert PAGE in result.stages[1].note


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(cloud.response(200, HTML, Content_Type="TEXT/HTML"), id="no charset"),
        pytest.param(html(body=b"\xef\xbb\xbf \r\n" + HTML), id="byte order mark"),
        pytest.param(
            cloud.response(200, HTML, Content_Type="application/xhtml+xml; charset=utf-8"),
            id="xhtml",
        ),
        pytest.param(html(body=gzip.compress(HTML), Content_Encoding="gzip"), id="gzip"),
        pytest.param(
            html(body=gzip.compress(HTML) + bytes(cloud.MIB), Content_Encoding="gzip"),
            id="zeros after the gzip",
        ),
        pytest.param(
            html(body=gzip.compress(HTML[:9]) + gzip.compress(HTML[9:]), Content_Encoding="gzip"),
            id="gzip in members",
        ),
        pytest.param(html(body=zlib.compress(HTML), Content_Encoding="deflate"), id="deflate"),
        pytest.param(html(Content_Encoding="UTF-8"), id="charset as encoding"),
        pytest.param(cloud.response(200, HTML), id="no content type, which browsers accept"),
        pytest.param(html(body=HTML.ljust(2 * cloud.MIB)), id="2 MiB"),
    ],
)
async def test_each_valid_form_of_an_html_page_is_accepted(page: bytes) -> None:
    assert (await probe_page(page)).outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    ("page", "detail"),
    [
        pytest.param(html(404), "404", id="404"),
        pytest.param(html(403), "403", id="403"),
        pytest.param(html(502), "502", id="502"),
        pytest.param(cloud.response(204), "204", id="204"),
        pytest.param(cloud.response(304), "304", id="304"),
        pytest.param(
            cloud.response(200, HTML, Content_Type="application/octet-stream"),
            "content type",
            id="wrong content type",
        ),
        pytest.param(html(body=b""), "body is not HTML", id="empty"),
        pytest.param(html(body=b'{"error": "no"}'), "body is not HTML", id="JSON labelled as HTML"),
        pytest.param(html(body=b"<" * (4 * cloud.MIB + 1)), "larger than", id="over 4 MiB"),
        pytest.param(
            html(body=gzip.compress(HTML)[:-1], Content_Encoding="gzip"), "gzip", id="cut gzip"
        ),
        pytest.param(html(body=HTML, Content_Encoding="gzip"), "gzip", id="broken gzip"),
        pytest.param(html(Content_Encoding="br"), "encoding", id="encoding that was not requested"),
    ],
)
async def test_an_invalid_page_is_a_page_error(page: bytes, detail: str) -> None:
    result = await probe_page(page, depth=Stage.RFB)

    assert (result.outcome, result.failed_stage) == (Outcome.PAGE_ERROR, Stage.PAGE), result.detail
    assert detail in result.detail
    # The status is the API's.
    assert result.status_code == 200


async def test_a_429_for_the_page_is_throttled() -> None:
    result = await probe_page(html(429), depth=Stage.RFB)

    assert (result.outcome, result.failed_stage) == (Outcome.THROTTLED, Stage.PAGE)


@pytest.mark.parametrize(
    ("outcome", "behaviour"),
    [
        pytest.param(Outcome.PROTOCOL_ERROR, broken_servers.closes, id="closes"),
        pytest.param(Outcome.PROTOCOL_ERROR, broken_servers.resets, id="resets"),
        pytest.param(Outcome.PROTOCOL_ERROR, answers_and_closes(html()[:-9]), id="cut"),
        pytest.param(Outcome.PROTOCOL_ERROR, answers_and_closes(b"SSH-2.0-x\r\n"), id="no HTTP"),
        pytest.param(Outcome.TIMEOUT, broken_servers.stalls, id="never answers"),
        pytest.param(Outcome.TIMEOUT, answers_and_stalls(html()[:-9]), id="never ends"),
        pytest.param(Outcome.TIMEOUT, trickles(html(), at_once=1, pause=0.05), id="trickles"),
    ],
)
@retry_if_machine_stalled
async def test_a_connection_failure_of_the_page_fails_at_stage_page(
    outcome: Outcome, behaviour: Behaviour
) -> None:
    async with (
        BrokenServer(behaviour) as broken,
        console(address=f"{broken.url}{PAGE}?token={TOKEN}") as gateway,
    ):
        result = await probe_once(
            gateway.api,
            depth=Stage.RFB,
            console=gateway.settings,
            timeout=DEEP_TIMEOUT if outcome is Outcome.TIMEOUT else AMPLE_TIMEOUT,
        )

    assert (result.outcome, result.failed_stage) == (outcome, Stage.PAGE), result.detail
    # Not retried by the HTTP client: a token may be valid for one use only.
    assert len(broken.requests) <= 1


async def test_a_closed_port_is_a_connect_error_at_stage_page() -> None:
    with silent_ports.closed_port() as url:
        result = await probe_page(html(), address=f"{url}{PAGE}?token={TOKEN}")

    assert (result.outcome, result.failed_stage) == (Outcome.CONNECT_ERROR, Stage.PAGE)


async def test_a_host_that_does_not_resolve_is_a_dns_error_at_stage_page() -> None:
    async with console(
        address=f"https://{silent_ports.UNKNOWN_HOST}{PAGE}", allowed=["*.invalid"]
    ) as gateway:
        result = await probe_once(gateway.api, depth=Stage.PAGE, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.DNS_ERROR, Stage.PAGE), result.detail


async def test_no_cloud_credentials_or_bodies_are_sent_to_the_console() -> None:
    async with console() as gateway:
        await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    for request in gateway.server.requests:
        assert not {"x-auth-token", "authorization", "x-security-token"} & request.headers.keys()
        assert request.method == "GET"
        assert request.body == b""


# ---- Redirects


def redirects(*locations: str, status: int = 302) -> object:
    """Redirect to each location once, then give the page."""
    left = list(locations)

    def answer(_: Request) -> bytes:
        if not left:
            return html()
        return cloud.response(status, Location=left.pop(0), Set_Cookie="gateway=a1; Path=/")

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_up_to_three_redirects_are_followed(status: int) -> None:
    page = redirects("/a", "b?x=1", "/c/d.html?token=t", status=status)
    async with console(page=page) as gateway:  # type: ignore[arg-type]
        result = await probe_once(gateway.api, depth=Stage.PAGE, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert gateway.requested_paths == [PAGE, "/a", "/b", "/c/d.html"]
    assert gateway.server.requests[3].headers["cookie"] == "gateway=a1"


@pytest.mark.parametrize(
    ("locations", "detail"),
    [
        pytest.param(["/1", "/2", "/3", "/4"], "more than 3", id="too many"),
        pytest.param(["https://elsewhere.example/"], "elsewhere.example", id="another host"),
        pytest.param(["//elsewhere.example/x"], "elsewhere.example", id="without a scheme"),
        pytest.param(["http://169.254.169.254/latest"], "169.254.169.254", id="metadata service"),
        pytest.param(["http://u:p@127.0.0.1/"], "not an http(s) URL", id="user information"),
        pytest.param(["javascript:alert(1)"], "not an http(s) URL", id="no web page"),
        pytest.param(
            ["https://127.0.0.1\\@elsewhere.example/"], "not an http(s) URL", id="backslash"
        ),
        pytest.param(["http://[::1"], "not an http(s) URL", id="broken"),
    ],
)
async def test_forbidden_redirects_are_page_errors(locations: list[str], detail: str) -> None:
    async with console(page=redirects(*locations)) as gateway:  # type: ignore[arg-type]
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.PAGE_ERROR, Stage.PAGE)
    assert detail in result.detail


async def test_a_redirect_without_a_location_is_a_page_error() -> None:
    assert (await probe_page(cloud.response(302))).outcome is Outcome.PAGE_ERROR


async def test_each_probe_opens_new_connections() -> None:
    # An expired certificate shows only on new connections.
    async with (
        console() as gateway,
        probing(gateway.api, depth=Stage.PAGE, console=gateway.settings) as probe,
    ):
        for _ in range(3):
            assert (await probe()).outcome is Outcome.SUCCESS

    assert gateway.server.connections == 3
