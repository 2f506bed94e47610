"""Stage websocket: how the way in is found."""

import base64
import os
import struct

import pytest

from exporter.model import Stage
from exporter.outcome import Outcome
from tests.real import cloud_answers as cloud
from tests.real.broken_servers import Request
from tests.real.probing import DEEP, probe_once, probing
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
    says,
    switching,
)
from tests.real.standstill import unless_the_machine_stood_still

NOT_FOUND, BAD_GATEWAY = cloud.answer(404), cloud.answer(502)


# ---- The way in


async def test_a_console_is_followed_to_its_first_bytes() -> None:
    async with console() as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.detail) == (Outcome.SUCCESS, "")
    assert [timing.stage for timing in result.stages] == list(Stage)
    assert result.stages[-1].note == "RFB 003.008"
    assert gateway.asked == [PAGE, RELATIVE]
    (handshake,) = gateway.handshakes
    assert handshake.path == f"{RELATIVE}?token={TOKEN}"
    assert handshake.headers["cookie"] == f"token={TOKEN}"
    assert handshake.headers["origin"] == gateway.server.url
    assert handshake.headers["sec-websocket-protocol"] == "binary"


async def test_depth_websocket_ends_with_the_handshake() -> None:
    async with console(speaks=says()) as gateway:
        result = await probe_once(gateway.api, depth=Stage.WEBSOCKET, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS
    assert [timing.stage for timing in result.stages] == [Stage.API, Stage.PAGE, Stage.WEBSOCKET]


async def test_nothing_is_sent_but_a_proper_goodbye() -> None:
    async with console() as gateway:
        await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    # A masked close frame with code 1000, and no byte more.
    assert gateway.server.heard[:2] == b"\x88\x82"
    mask, code = gateway.server.heard[2:6], gateway.server.heard[6:]
    assert bytes(a ^ b for a, b in zip(code, mask, strict=False)) == struct.pack("!H", 1000)


async def test_pings_before_the_first_bytes_are_not_answered() -> None:
    async with console(speaks=says(frame(b"ping", PING), frame(VERSION))) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS
    assert gateway.server.heard[:1] == b"\x88"


async def test_auto_tries_the_root_after_the_page_s_folder_and_remembers_what_worked() -> None:
    async with (
        console(handshake=at(ROOT, NOT_FOUND)) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        outcomes = [(await probe()).outcome for _ in range(3)]

    assert outcomes == [Outcome.SUCCESS] * 3
    assert gateway.asked == [PAGE, RELATIVE, ROOT, PAGE, ROOT, PAGE, ROOT]


async def test_a_way_in_that_is_gone_is_forgotten() -> None:
    ways = iter([RELATIVE, ROOT, ROOT])
    now = [next(ways)]

    def handshake(request: Request) -> bytes:
        return accepts(request) if request.path.startswith(now[0]) else NOT_FOUND

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        for way in (RELATIVE, ROOT, ROOT):
            now[0] = way
            assert (await probe()).outcome is Outcome.SUCCESS

    assert gateway.asked == [PAGE, RELATIVE, PAGE, RELATIVE, ROOT, PAGE, ROOT]


@pytest.mark.parametrize("refusal", [cloud.answer(200), cloud.answer(403), BAD_GATEWAY, None])
async def test_a_gateway_that_moves_its_websocket_turns_nothing_red(refusal: bytes | None) -> None:
    now = [RELATIVE]

    def handshake(request: Request) -> bytes | None:
        return accepts(request) if request.path.startswith(now[0]) else refusal

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        for way in (RELATIVE, ROOT, RELATIVE):
            now[0] = way
            assert (await probe()).outcome is Outcome.SUCCESS


async def test_subprotocols_are_each_gateway_s_own_even_on_one_host() -> None:
    wants: list[str | None] = [None]

    def handshake(request: Request) -> bytes:
        asked = request.headers.get("sec-websocket-protocol")
        return accepts(request) if asked == wants[0] else cloud.answer(400)

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        for wanted in (None, "binary", None):
            wants[0] = wanted
            assert (await probe()).outcome is Outcome.SUCCESS


async def test_no_subprotocol_is_asked_for_where_binary_is_refused() -> None:
    def handshake(request: Request) -> bytes:
        asked = request.headers.get("sec-websocket-protocol")
        return cloud.answer(400) if asked else switching(request)

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        first, second = await probe(), await probe()

    assert [first.outcome, second.outcome] == [Outcome.SUCCESS] * 2
    assert gateway.asked == [PAGE, RELATIVE, RELATIVE, PAGE, RELATIVE]
    assert "subprotocol none" in second.stages[2].note


async def test_a_template_says_where_the_websocket_is() -> None:
    async with console(path="/vnc/{server_name}/{server_id}.{region}/ws?x=1") as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS
    assert gateway.handshakes[0].path == f"/vnc/db-01/7c9ad6b8.cn/ws?x=1&token={TOKEN}"


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        pytest.param(
            "path=vnc/ws&token=t1", "/vnc/host.cn-southwest-242/vnc/ws?token=t1", id="path"
        ),
        pytest.param("path=%3Ftoken%3Dt2", f"{PAGE}?token=t2", id="token in the path, as Nova's"),
        pytest.param("path=//evil.example/&token=t3", "/evil.example/?token=t3", id="other host"),
        pytest.param("compression=9", RELATIVE, id="no token at all"),
    ],
)
async def test_the_page_s_own_parameters_are_obeyed_on_its_own_host(query: str, asked: str) -> None:
    async with console(address=f"{{origin}}{PAGE}?{query}") as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.SUCCESS, result.detail
    assert gateway.handshakes[0].path == asked


async def test_what_is_remembered_is_no_token_of_the_probe_before() -> None:
    address = f"{{origin}}{PAGE}?path=%3Ftoken%3Dt{{number}}"
    async with (
        console(address=address) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        for _ in range(2):
            assert (await probe()).outcome is Outcome.SUCCESS

    assert [one.path for one in gateway.handshakes] == [f"{PAGE}?token=t1", f"{PAGE}?token=t2"]


@pytest.mark.parametrize("value", ["node-7", "abc/def+gh==", '"quoted, so"', "a(b){c}", ""])
async def test_cookies_of_the_page_go_to_the_websocket_as_they_came(value: str) -> None:
    page = html(Set_Cookie=f"route={value}; Path=/; HttpOnly")
    async with console(page=page) as gateway:
        await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert gateway.handshakes[0].headers["cookie"] == f"token={TOKEN}; route={value}"


async def test_cookies_for_another_path_or_host_stay_behind() -> None:
    page = html(Set_Cookie="a=1; Path=/elsewhere").replace(
        b"Set-Cookie", b"Set-Cookie: b=2; Domain=evil.example\r\nSet-Cookie", 1
    )
    async with console(page=page) as gateway:
        await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert gateway.handshakes[0].headers["cookie"] == f"token={TOKEN}"


async def test_the_page_s_own_path_is_not_shown_for_it_may_hold_a_token() -> None:
    secret = "path=websockify/SECRET%253Ftoken%253DSECRET"
    address = f"{{origin}}{PAGE}?{secret}&token={TOKEN}"
    for handshake in (accepts, lambda _: NOT_FOUND):
        async with console(address=address, handshake=handshake) as gateway:
            result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)
            assert "SECRET" in gateway.handshakes[0].path
        assert "SECRET" not in repr(result)
        assert "own path" in repr(result)


async def test_a_handshake_that_was_asked_for_too_often_says_nothing_of_the_console() -> None:
    async with console(handshake=lambda _: cloud.answer(429)) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.THROTTLED, Stage.WEBSOCKET)


async def test_who_is_asked_too_often_is_not_asked_another_way_in_the_same_breath() -> None:
    answers = iter([accepts, lambda _: cloud.answer(429), accepts])

    def handshake(request: Request) -> bytes | None:
        if not request.path.startswith(RELATIVE):
            return NOT_FOUND
        return next(answers)(request)

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        outcomes = [(await probe()).outcome for _ in range(3)]

    assert outcomes == [Outcome.SUCCESS, Outcome.THROTTLED, Outcome.SUCCESS]
    assert gateway.asked == [PAGE, RELATIVE] * 3


async def test_a_way_in_that_was_good_is_remembered_where_it_is_asked_for_too_often() -> None:
    answers = iter([NOT_FOUND, None, cloud.answer(429), None])

    def handshake(request: Request) -> bytes | None:
        return next(answers) or accepts(request)

    async with (
        console(handshake=handshake) as gateway,
        probing(gateway.api, depth=Stage.RFB, console=gateway.settings) as probe,
    ):
        outcomes = [(await probe()).outcome for _ in range(3)]

    assert outcomes == [Outcome.SUCCESS, Outcome.THROTTLED, Outcome.SUCCESS]
    assert gateway.asked == [PAGE, RELATIVE, ROOT, PAGE, ROOT, PAGE, ROOT]


async def test_a_subprotocol_that_nobody_asked_for_is_refused_as_browsers_do() -> None:
    async with console(handshake=lambda request: switching(request, "xmpp")) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.WEBSOCKET_REJECTED
    assert "not asked for" in result.detail


# ---- No WebSocket


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(cloud.answer(502), "502", id="502"),
        pytest.param(cloud.answer(403), "403", id="403"),
        pytest.param(cloud.answer(400), "400", id="400 to every subprotocol"),
        pytest.param(html(), "200", id="the Upgrade was dropped"),
        pytest.param(cloud.answer(302, Location="/websockify2"), "302", id="redirect"),
        pytest.param(
            cloud.answer(302, Location="https://evil.example/"), "302", id="redirect away"
        ),
        pytest.param(None, "without a response", id="closed, as websockify does on a bad token"),
    ],
)
async def test_no_101_is_a_rejected_websocket(answer: bytes | None, told: str) -> None:
    async with console(handshake=lambda _: answer) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.WEBSOCKET_REJECTED, Stage.WEBSOCKET)
    assert told in result.detail
    # Each way once: nothing is repeated behind our back.
    paths = [(one.path, one.headers.get("sec-websocket-protocol")) for one in gateway.handshakes]
    assert len(paths) == len(set(paths))
    assert {one.path.partition("?")[0] for one in gateway.handshakes} == {RELATIVE, ROOT}


async def test_a_101_that_does_not_know_our_key_is_a_rejected_websocket() -> None:
    def handshake(request: Request) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        return switching(Request("GET", request.path, {"sec-websocket-key": key}))

    async with console(handshake=handshake) as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert result.outcome is Outcome.WEBSOCKET_REJECTED
    assert "not as WebSocket does" in result.detail


async def test_what_is_no_http_in_answer_to_the_handshake_is_a_protocol_error() -> None:
    async with console(handshake=lambda _: b"SSH-2.0-OpenSSH_9.2\r\n") as gateway:
        result = await probe_once(gateway.api, depth=Stage.RFB, console=gateway.settings)

    assert (result.outcome, result.failed_stage) == (Outcome.PROTOCOL_ERROR, Stage.WEBSOCKET)


@unless_the_machine_stood_still
async def test_a_handshake_that_is_never_answered_is_a_timeout() -> None:
    async with console(handshake=lambda _: b"", speaks=says()) as gateway:
        result = await probe_once(
            gateway.api, depth=Stage.RFB, console=gateway.settings, timeout=DEEP
        )

    assert (result.outcome, result.failed_stage) == (Outcome.TIMEOUT, Stage.WEBSOCKET)
    assert [timing.stage for timing in result.stages] == [Stage.API, Stage.PAGE, Stage.WEBSOCKET]
