"""Stage websocket: paths, subprotocols, cookies, and rejected handshakes."""

import base64
import os
import struct

import pytest

from exporter.model import Stage
from exporter.outcome import Outcome
from tests.real import cloud_responses as cloud
from tests.real.broken_servers import Request
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.probing import DEEP_TIMEOUT, probe_once, probing
from tests.real.raw_console import (
    PAGE,
    PING,
    RELATIVE,
    ROOT,
    TOKEN,
    VERSION,
    accepts,
    at,
    console,
    frame,
    html,
    sends,
    switching,
)

NOT_FOUND, BAD_GATEWAY = cloud.response(404), cloud.response(502)


# ---- Path, subprotocol, cookies


async def test_depth_rfb_reads_the_first_bytes() -> None:
    async with console() as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.detail) == (Outcome.SUCCESS, "")
    assert [timing.stage for timing in result.stages] == list(Stage)[:-1]
    assert result.stages[-1].note == "RFB 003.008"
    assert gateway.requested_paths == [PAGE, RELATIVE]
    (handshake,) = gateway.handshakes
    assert handshake.path == f"{RELATIVE}?token={TOKEN}"
    assert handshake.headers["cookie"] == f"token={TOKEN}"
    assert handshake.headers["origin"] == gateway.server.url
    assert handshake.headers["sec-websocket-protocol"] == "binary"


async def test_depth_websocket_ends_with_the_handshake() -> None:
    async with console(behaviour=sends()) as gateway:
        result = await probe_once(gateway.api, depth=Stage.WEBSOCKET, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS
    assert [timing.stage for timing in result.stages] == [Stage.API, Stage.PAGE, Stage.WEBSOCKET]


async def test_nothing_but_a_close_frame_is_sent() -> None:
    async with console() as gateway:
        await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    # A masked close frame with code 1000, and nothing else.
    assert gateway.server.received[:2] == b"\x88\x82"
    mask, code = gateway.server.received[2:6], gateway.server.received[6:]
    assert bytes(a ^ b for a, b in zip(code, mask, strict=False)) == struct.pack("!H", 1000)


async def test_pings_before_the_first_bytes_get_no_pong() -> None:
    async with console(behaviour=sends(frame(b"ping", PING), frame(VERSION))) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS
    assert gateway.server.received[:1] == b"\x88"


async def test_auto_tries_the_page_s_folder_then_the_root_and_caches_the_result() -> None:
    async with (
        console(handshake=at(ROOT, NOT_FOUND)) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        outcomes = [(await probe()).outcome for _ in range(3)]

    assert outcomes == [Outcome.SUCCESS] * 3
    assert gateway.requested_paths == [PAGE, RELATIVE, ROOT, PAGE, ROOT, PAGE, ROOT]


async def test_a_cached_path_that_no_longer_works_is_replaced() -> None:
    current = [RELATIVE]

    def handshake(request: Request) -> bytes:
        return accepts(request) if request.path.startswith(current[0]) else NOT_FOUND

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        for path in (RELATIVE, ROOT, ROOT):
            current[0] = path
            assert (await probe()).outcome is Outcome.SUCCESS

    assert gateway.requested_paths == [PAGE, RELATIVE, PAGE, RELATIVE, ROOT, PAGE, ROOT]


@pytest.mark.parametrize("rejection", [cloud.response(200), cloud.response(403), BAD_GATEWAY, None])
async def test_a_gateway_that_moves_its_websocket_fails_no_probe(rejection: bytes | None) -> None:
    current = [RELATIVE]

    def handshake(request: Request) -> bytes | None:
        return accepts(request) if request.path.startswith(current[0]) else rejection

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        for path in (RELATIVE, ROOT, RELATIVE):
            current[0] = path
            assert (await probe()).outcome is Outcome.SUCCESS


async def test_a_change_of_subprotocol_on_one_host_fails_no_probe() -> None:
    accepted: list[str | None] = [None]

    def handshake(request: Request) -> bytes:
        requested = request.headers.get("sec-websocket-protocol")
        return accepts(request) if requested == accepted[0] else cloud.response(400)

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        for subprotocol in (None, "binary", None):
            accepted[0] = subprotocol
            assert (await probe()).outcome is Outcome.SUCCESS


async def test_no_subprotocol_is_requested_if_binary_is_rejected() -> None:
    def handshake(request: Request) -> bytes:
        requested = request.headers.get("sec-websocket-protocol")
        return cloud.response(400) if requested else switching(request)

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        first, second = await probe(), await probe()

    assert [first.outcome, second.outcome] == [Outcome.SUCCESS] * 2
    assert gateway.requested_paths == [PAGE, RELATIVE, RELATIVE, PAGE, RELATIVE]
    assert "subprotocol none" in second.stages[2].note


async def test_a_path_template_is_filled_in() -> None:
    async with console(path="/vnc/{server_name}/{server_id}.{region}/ws?x=1") as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS
    assert gateway.handshakes[0].path == f"/vnc/db-01/7c9ad6b8.cn/ws?x=1&token={TOKEN}"


@pytest.mark.parametrize(
    ("query", "path"),
    [
        pytest.param(
            "path=vnc/ws&token=t1", "/vnc/host.cn-southwest-242/vnc/ws?token=t1", id="path"
        ),
        pytest.param(
            "path=%3Ftoken%3Dt2", f"{PAGE}?token=t2", id="token in the path, as in OpenStack Nova"
        ),
        pytest.param("path=//evil.example/&token=t3", "/evil.example/?token=t3", id="other host"),
        pytest.param("compression=9", RELATIVE, id="no token at all"),
    ],
)
async def test_the_page_s_path_parameter_is_used_on_the_same_host_only(
    query: str, path: str
) -> None:
    async with console(address=f"{{origin}}{PAGE}?{query}") as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert gateway.handshakes[0].path == path


async def test_the_cached_path_holds_no_token_of_an_earlier_probe() -> None:
    address = f"{{origin}}{PAGE}?path=%3Ftoken%3Dt{{number}}"
    async with (
        console(address=address) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        for _ in range(2):
            assert (await probe()).outcome is Outcome.SUCCESS

    assert [handshake.path for handshake in gateway.handshakes] == [
        f"{PAGE}?token=t1",
        f"{PAGE}?token=t2",
    ]


@pytest.mark.parametrize("value", ["node-7", "abc/def+gh==", '"quoted, so"', "a(b){c}", ""])
async def test_page_cookies_are_sent_unchanged_with_the_handshake(value: str) -> None:
    page = html(Set_Cookie=f"route={value}; Path=/; HttpOnly")
    async with console(page=page) as gateway:
        await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert gateway.handshakes[0].headers["cookie"] == f"token={TOKEN}; route={value}"


async def test_cookies_for_another_path_or_host_are_not_sent() -> None:
    page = html(Set_Cookie="a=1; Path=/elsewhere").replace(
        b"Set-Cookie", b"Set-Cookie: b=2; Domain=evil.example\r\nSet-Cookie", 1
    )
    async with console(page=page) as gateway:
        await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert gateway.handshakes[0].headers["cookie"] == f"token={TOKEN}"


async def test_the_page_s_own_path_is_not_shown() -> None:
    secret = "path=websockify/SECRET%253Ftoken%253DSECRET"
    address = f"{{origin}}{PAGE}?{secret}&token={TOKEN}"
    for handshake in (accepts, lambda _: NOT_FOUND):
        async with console(address=address, handshake=handshake) as gateway:
            result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)
            assert "SECRET" in gateway.handshakes[0].path
        assert "SECRET" not in repr(result)
        assert "own path" in repr(result)


async def test_a_429_for_the_handshake_is_throttled() -> None:
    async with console(handshake=lambda _: cloud.response(429)) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.THROTTLED, Stage.WEBSOCKET)


async def test_a_429_for_the_handshake_is_not_retried() -> None:
    responses = iter([accepts, lambda _: cloud.response(429), accepts])

    def handshake(request: Request) -> bytes | None:
        if not request.path.startswith(RELATIVE):
            return NOT_FOUND
        return next(responses)(request)

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        outcomes = [(await probe()).outcome for _ in range(3)]

    assert outcomes == [Outcome.SUCCESS, Outcome.THROTTLED, Outcome.SUCCESS]
    assert gateway.requested_paths == [PAGE, RELATIVE] * 3


async def test_a_429_keeps_the_cached_path() -> None:
    responses = iter([NOT_FOUND, None, cloud.response(429), None])

    def handshake(request: Request) -> bytes | None:
        return next(responses) or accepts(request)

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        outcomes = [(await probe()).outcome for _ in range(3)]

    assert outcomes == [Outcome.SUCCESS, Outcome.THROTTLED, Outcome.SUCCESS]
    assert gateway.requested_paths == [PAGE, RELATIVE, ROOT, PAGE, ROOT, PAGE, ROOT]


async def test_an_unrequested_subprotocol_is_rejected() -> None:
    async with console(handshake=lambda request: switching(request, "xmpp")) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.WEBSOCKET_REJECTED
    assert "not asked for" in result.detail


# ---- Rejected and failed handshakes


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        pytest.param(cloud.response(502), "502", id="502"),
        pytest.param(cloud.response(403), "403", id="403"),
        pytest.param(cloud.response(400), "400", id="400 to every subprotocol"),
        pytest.param(html(), "200", id="the Upgrade header was dropped"),
        pytest.param(cloud.response(302, Location="/websockify2"), "302", id="redirect"),
        pytest.param(
            cloud.response(302, Location="https://evil.example/"), "302", id="redirect away"
        ),
        pytest.param(None, "without a response", id="closed, as websockify does on a bad token"),
    ],
)
async def test_a_response_other_than_101_rejects_the_websocket(
    response: bytes | None, detail: str
) -> None:
    async with console(handshake=lambda _: response) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.WEBSOCKET_REJECTED, Stage.WEBSOCKET)
    assert detail in result.detail
    # Each attempt is made once: the HTTP client repeats nothing.
    attempts = [
        (handshake.path, handshake.headers.get("sec-websocket-protocol"))
        for handshake in gateway.handshakes
    ]
    assert len(attempts) == len(set(attempts))
    paths = {handshake.path.partition("?")[0] for handshake in gateway.handshakes}
    assert paths == {RELATIVE, ROOT}


async def test_a_101_with_a_wrong_accept_key_rejects_the_websocket() -> None:
    def handshake(request: Request) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        return switching(Request("GET", request.path, {"sec-websocket-key": key}))

    async with console(handshake=handshake) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.WEBSOCKET_REJECTED
    assert "not as WebSocket does" in result.detail


async def test_a_handshake_response_that_is_not_http_is_a_protocol_error() -> None:
    async with console(handshake=lambda _: b"SSH-2.0-OpenSSH_9.2\r\n") as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.PROTOCOL_ERROR, Stage.WEBSOCKET)


@retry_if_machine_stalled
async def test_a_handshake_without_a_response_is_a_timeout() -> None:
    async with console(handshake=lambda _: b"", behaviour=sends()) as gateway:
        result = await probe_once(
            gateway.api, depth=Stage.RFB, console=gateway.settings, timeout=DEEP_TIMEOUT
        )

    assert (result.outcome, result.failed_stage) == (Outcome.TIMEOUT, Stage.WEBSOCKET)
    assert [timing.stage for timing in result.stages] == [Stage.API, Stage.PAGE, Stage.WEBSOCKET]
