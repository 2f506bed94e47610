"""Each answer of the cloud's API, good or broken, gives its own outcome."""

import tracemalloc
from dataclasses import dataclass

import pytest

from exporter.outcome import Outcome, Verdict
from tests.real import broken_answers
from tests.real import cloud_answers as cloud
from tests.real.broken_answers import (
    answers,
    answers_and_closes,
    answers_and_resets,
    answers_and_stalls,
)
from tests.real.broken_servers import Behaviour, BrokenServer, closes, resets, stalls
from tests.real.probing import IN_TIME, SHORT, TOKEN, TokenLogin, probe_once
from tests.real.standstill import unless_the_machine_stood_still


@dataclass(frozen=True, slots=True)
class Case:
    """A behaviour and what a probe makes of it."""

    behaviour: Behaviour
    outcome: Outcome
    status_code: int = 0
    error_code: str = ""
    timeout: float = IN_TIME


def ok(raw: bytes) -> Case:
    return Case(answers(raw), Outcome.SUCCESS, 200)


def useless(raw: bytes, status: int = 200) -> Case:
    return Case(answers(raw), Outcome.BAD_RESPONSE, status)


def address(url: object) -> Case:
    return useless(cloud.console_address(url))


def refused(outcome: Outcome, status: int, code: str, **headers: str) -> Case:
    return Case(answers(cloud.error(status, code, **headers)), outcome, status, code)


def answered(outcome: Outcome, status: int, raw: bytes, code: str = "") -> Case:
    return Case(answers(raw), outcome, status, code)


def no_http(raw: bytes) -> Case:
    return Case(answers_and_closes(raw), Outcome.PROTOCOL_ERROR)


GOOD = cloud.console_address()
GOOD_CHUNK = b"%x\r\n%s\r\n" % (len(cloud.GOOD_BODY), cloud.GOOD_BODY)
CHUNKED = cloud.HEAD_OK + b"Transfer-Encoding: chunked\r\n\r\n"
TOO_LONG = cloud.console_address_of_size(cloud.MIB + 1)

SUCCESSES = {
    "documented answer": ok(GOOD),
    "console over http": ok(cloud.console_address("http://console.example/vnc?token=t")),
    "fields we do not know": ok(cloud.json_answer(200, {"url": cloud.CONSOLE_URL, "more": [1]})),
    "body of exactly 1 MiB": ok(cloud.console_address_of_size(cloud.MIB)),
    "gzip": ok(cloud.gzipped(cloud.GOOD_BODY)),
    "x-gzip": ok(cloud.gzipped(cloud.GOOD_BODY, "x-gzip")),
    "identity encoding": ok(cloud.answer(200, cloud.GOOD_BODY, Content_Encoding="identity")),
    "chunked": ok(CHUNKED + GOOD_CHUNK + b"0\r\n\r\n"),
    "body until close": Case(
        answers_and_closes(b"HTTP/1.1 200 OK\r\n\r\n" + cloud.GOOD_BODY), Outcome.SUCCESS, 200
    ),
    "HTTP/1.0": Case(
        answers_and_closes(b"HTTP/1.0 200 OK\r\n\r\n" + cloud.GOOD_BODY), Outcome.SUCCESS, 200
    ),
    "no content type": ok(cloud.answer(200, cloud.GOOD_BODY)),
    "100 before the answer": ok(b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD),
    "103 before the answer": ok(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + GOOD),
    "16 kB header": ok(cloud.answer(200, cloud.GOOD_BODY, X_Token="t" * 16384)),
    "slow answer": Case(broken_answers.answers_late(0.2, GOOD), Outcome.SUCCESS, 200),
    "trickled answer": Case(
        broken_answers.trickles(GOOD, at_once=len(GOOD) - 20, pause=0.005), Outcome.SUCCESS, 200
    ),
}

USELESS = {
    "empty 200": useless(cloud.answer(200)),
    "HTML 200": useless(cloud.answer(200, "<html>Log in</html>", Content_Type="text/html")),
    "invalid JSON": useless(cloud.answer(200, '{"url": "https://console.ex')),
    "not UTF-8": useless(cloud.answer(200, b'{"url": "https://\xff\xfe"}')),
    "list": useless(cloud.json_answer(200, [cloud.CONSOLE_URL])),
    "text": useless(cloud.json_answer(200, cloud.CONSOLE_URL)),
    "null": useless(cloud.json_answer(200, None)),
    "url missing": useless(cloud.json_answer(200, {"uri": cloud.CONSOLE_URL})),
    "nested 10,000 deep": useless(cloud.answer(200, '{"url":' + "[" * 10_000 + "]" * 10_000 + "}")),
    "integer of 10,000 digits": useless(cloud.answer(200, '{"url":' + "9" * 10_000 + "}")),
    "url a number": address(7),
    "url null": address(None),
    "url a list": address([cloud.CONSOLE_URL]),
    "url empty": address(""),
    "javascript url": address("javascript:alert(1)"),
    "ftp url": address("ftp://console.example/vnc"),
    "file url": address("file:///etc/passwd"),
    "relative url": address("/vnc/vnc_auto.html?token=t"),
    "scheme-relative url": address("//console.example/vnc"),
    "url with a space": address("https://console.example/a b"),
    "url after a space": address(" https://console.example/"),
    "url with a line end": address("https://console.example/\r\nX-Injected: 1"),
    "url with NUL": address("https://console.example/\0"),
    # RFC 9110, 4.2.4: a user name in a URL from outside is an error, it hides the true host.
    "url with a user name": address("https://huaweicloud.com@console.example/vnc"),
    "url with user name and password": address("https://user:pass@console.example/vnc"),
    "url without a host": address("https:///vnc"),
    "url with a port out of range": address("https://console.example:65536/vnc"),
    "url with a port that is no number": address("https://console.example:https/vnc"),
    "url with an open bracket": address("https://[::1/vnc"),
    "url of 100 kB": address("https://console.example/" + "x" * 100_000),
    "body of 1 MiB and one byte": useless(TOO_LONG),
    "chunked body over 1 MiB": useless(
        CHUNKED + b"%x\r\n" % (cloud.MIB + 1) + b" " * (cloud.MIB + 1) + b"\r\n0\r\n\r\n"
    ),
    "endless body": Case(broken_answers.endless_body, Outcome.BAD_RESPONSE, 200),
    "endless chunks": Case(broken_answers.endless_chunks, Outcome.BAD_RESPONSE, 200),
    "encoding that was not asked for": useless(
        cloud.answer(200, b"\x0b\x02\x80{}\x03", Content_Encoding="br")
    ),
    "unknown encoding": useless(cloud.answer(200, cloud.GOOD_BODY, Content_Encoding="rot13")),
    "gzip twice": useless(cloud.gzipped(cloud.GOOD_BODY, "gzip, gzip")),
    "gzip that is none": useless(cloud.answer(200, cloud.GOOD_BODY, Content_Encoding="gzip")),
    "gzip cut short": useless(
        cloud.answer(
            200,
            cloud.gzipped(cloud.GOOD_BODY).partition(b"\r\n\r\n")[2][:-12],
            Content_Encoding="gzip",
        )
    ),
    **{
        f"undocumented {status}": useless(cloud.answer(status, GOOD_CHUNK), status)
        for status in (201, 202, 206, 300, 301, 305, 307, 308, 402, 405, 408, 410, 418, 451, 499)
    },
    "204": useless(b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    "304": useless(b"HTTP/1.1 304 Not Modified\r\n\r\n", 304),
    "302 without a place": useless(cloud.answer(302), 302),
    "status 999": useless(cloud.answer(999), 999),
}

THROTTLED = {
    "gateway's 429": answered(Outcome.THROTTLED, 429, cloud.THROTTLED_BY_GATEWAY, "APIGW.0308"),
    "dedicated gateway's 429": refused(Outcome.THROTTLED, 429, "APIG.0308"),
    "CloudDC's 429": refused(Outcome.THROTTLED, 429, "iMetal.0005"),
    "empty 429": answered(Outcome.THROTTLED, 429, cloud.answer(429)),
    "plain-text 429": answered(Outcome.THROTTLED, 429, cloud.answer(429, "Too Many Requests")),
    "429 with seconds": refused(Outcome.THROTTLED, 429, "APIGW.0308", Retry_After="7"),
    "429 with a date": refused(
        Outcome.THROTTLED, 429, "APIGW.0308", Retry_After="Fri, 31 Dec 2100 23:59:59 GMT"
    ),
    "429 with nonsense": refused(Outcome.THROTTLED, 429, "APIGW.0308", Retry_After="soon"),
    "429 with 5,000 digits": refused(Outcome.THROTTLED, 429, "APIGW.0308", Retry_After="9" * 5000),
}


def with_broken_body(outcome: Outcome, status: int) -> dict[str, Case]:
    """Return the ways in which the body of an answer breaks whose status alone is evidence."""
    cut = cloud.answer(status, b"{}")[:-1]
    behaviours = {
        "over 1 MiB": answers(cloud.answer(status, b" " * (cloud.MIB + 1))),
        "in an unknown encoding": answers(cloud.answer(status, b"?", Content_Encoding="br")),
        "cut short": answers_and_closes(cut),
        "reset": answers_and_resets(cut),
    }
    cases = {
        f"{status} with a body {how}": Case(behaviour, outcome, status)
        for how, behaviour in behaviours.items()
    }
    stalled = Case(answers_and_stalls(cut), outcome, status, timeout=SHORT)
    return cases | {f"{status} with a body that stalls": stalled}


# What is inconclusive stays so: a broken body must not make a broken console of it.
BROKEN_BODIES = {
    **with_broken_body(Outcome.THROTTLED, 429),
    **with_broken_body(Outcome.UNAUTHORIZED, 401),
    **with_broken_body(Outcome.FORBIDDEN, 403),
    **with_broken_body(Outcome.NOT_FOUND, 404),
    **with_broken_body(Outcome.SERVER_ERROR, 502),
}

REFUSALS = {
    "iMetal.0101": refused(Outcome.NOT_READY, 400, "iMetal.0101"),
    "iMetal.0001": refused(Outcome.BAD_REQUEST, 400, "iMetal.0001"),
    "APIGW.0201": refused(Outcome.BAD_REQUEST, 400, "APIGW.0201"),
    "400 of HTML": answered(Outcome.BAD_REQUEST, 400, cloud.answer(400, "<html></html>")),
    "400 empty": answered(Outcome.BAD_REQUEST, 400, cloud.answer(400)),
    "400 in camel case": answered(
        Outcome.NOT_READY, 400, cloud.json_answer(400, {"errorCode": "iMetal.0101"}), "iMetal.0101"
    ),
    "400 nested": answered(
        Outcome.NOT_READY,
        400,
        cloud.json_answer(400, {"error": {"code": "iMetal.0101", "message": "not ready"}}),
        "iMetal.0101",
    ),
    "401 of IAM": answered(Outcome.UNAUTHORIZED, 401, cloud.IAM_UNAUTHORIZED, "401"),
    "401 of the gateway": refused(Outcome.UNAUTHORIZED, 401, "APIGW.0301"),
    "401 of an old token": refused(Outcome.UNAUTHORIZED, 401, "APIGW.0307"),
    "401 of CloudDC": refused(Outcome.UNAUTHORIZED, 401, "iMetal.0003"),
    "401 empty": answered(Outcome.UNAUTHORIZED, 401, cloud.answer(401)),
    "403 of CloudDC": refused(Outcome.FORBIDDEN, 403, "iMetal.0004"),
    "403 of the gateway": refused(Outcome.FORBIDDEN, 403, "APIGW.0302"),
    "404 of a server": refused(Outcome.NOT_FOUND, 404, "iMetal.0100"),
    "404 of an API": refused(Outcome.NOT_FOUND, 404, "APIGW.0101"),
    "404 of HTML": answered(Outcome.NOT_FOUND, 404, cloud.answer(404, "<html></html>")),
    "500": refused(Outcome.SERVER_ERROR, 500, "iMetal.0099"),
    "502 of HTML": answered(Outcome.SERVER_ERROR, 502, cloud.answer(502, "<html></html>")),
    "503": refused(Outcome.SERVER_ERROR, 503, "APIGW.0613"),
    "504": refused(Outcome.SERVER_ERROR, 504, "APIGW.0201"),
    "599": answered(Outcome.SERVER_ERROR, 599, cloud.answer(599)),
    "code of free text": answered(
        Outcome.SERVER_ERROR, 500, cloud.error(500, 'x"} 1\nfree text of a stranger')
    ),
}

BROKEN = {
    "cut mid-body": Case(answers_and_closes(GOOD[:-9]), Outcome.PROTOCOL_ERROR, 200),
    "cut mid-chunk": Case(
        answers_and_closes(CHUNKED + GOOD_CHUNK[:-9]), Outcome.PROTOCOL_ERROR, 200
    ),
    "cut before the last chunk": Case(
        answers_and_closes(CHUNKED + GOOD_CHUNK), Outcome.PROTOCOL_ERROR, 200
    ),
    "cut mid-header": no_http(GOOD[:40]),
    "cut mid-status-line": no_http(GOOD[:7]),
    "reset mid-body": Case(answers_and_resets(GOOD[:-9]), Outcome.PROTOCOL_ERROR, 200),
    "reset before the answer": Case(resets, Outcome.PROTOCOL_ERROR),
    "closed without a byte": Case(closes, Outcome.PROTOCOL_ERROR),
    "garbage": no_http(bytes(range(256)) * 4),
    "SSH": no_http(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "HTTP/0.9": no_http(b"<html>hello</html>"),
    "HTTP/2 only": no_http(bytes.fromhex("000012040000000000") + bytes(18)),
    "status that is no number": no_http(b"HTTP/1.1 OK 200\r\n\r\n"),
    "header without a name": no_http(cloud.HEAD_OK + b": x\r\n\r\n"),
    "header without a colon": no_http(cloud.HEAD_OK + b"no colon here\r\n\r\n"),
    "negative length": no_http(cloud.HEAD_OK + b"Content-Length: -1\r\n\r\n"),
    "two lengths": no_http(cloud.HEAD_OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    "chunk size that is no number": no_http(CHUNKED + b"what\r\n{}\r\n0\r\n\r\n"),
    # aiohttp 3.14 lets a reader wait for ever when its parser fails in the middle of a body.
    "chunk size that is no number, later": Case(
        broken_answers.trickles(CHUNKED + b"what\r\n", at_once=len(CHUNKED), pause=0.02),
        Outcome.TIMEOUT,
        200,
        timeout=SHORT,
    ),
    "header of 1 MiB": no_http(cloud.answer(200, X_Large="x" * cloud.MIB)),
    "endless header": Case(broken_answers.endless_header, Outcome.PROTOCOL_ERROR),
    "endless headers": Case(broken_answers.endless_headers, Outcome.PROTOCOL_ERROR),
    "never answers": Case(stalls, Outcome.TIMEOUT, timeout=SHORT),
    "stalls mid-header": Case(answers_and_stalls(GOOD[:40]), Outcome.TIMEOUT, timeout=SHORT),
    "stalls mid-body": Case(answers_and_stalls(GOOD[:-9]), Outcome.TIMEOUT, 200, timeout=SHORT),
    "answers too late": Case(broken_answers.answers_late(5, GOOD), Outcome.TIMEOUT, timeout=SHORT),
    "trickles headers": Case(
        broken_answers.trickles(GOOD, at_once=0, pause=0.02), Outcome.TIMEOUT, timeout=SHORT
    ),
    "trickles the body": Case(
        broken_answers.trickles(GOOD, at_once=len(GOOD) - 100, pause=0.02),
        Outcome.TIMEOUT,
        200,
        timeout=SHORT,
    ),
    "early hints without end": Case(
        broken_answers.endless_early_hints, Outcome.TIMEOUT, timeout=SHORT
    ),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name)
        for table in (
            SUCCESSES,
            USELESS,
            THROTTLED,
            BROKEN_BODIES,
            REFUSALS,
            BROKEN,
        )
        for name, case in table.items()
    ],
)
@unless_the_machine_stood_still
async def test_a_probe_ends_as_the_server_behaves(case: Case) -> None:
    async with BrokenServer(case.behaviour) as server:
        result = await probe_once(server.url, timeout=case.timeout)

    assert (result.outcome, result.status_code, result.error_code) == (
        case.outcome,
        case.status_code,
        case.error_code,
    ), result.detail
    assert len(server.requests) <= 1


async def test_the_request_is_the_documented_one() -> None:
    async with BrokenServer(answers(GOOD)) as server:
        result = await probe_once(server.url)

    (request,) = server.requests
    assert (request.method, request.path) == (
        "GET",
        "/v1/0123456789abcdef0123456789abcdef/physicalservers/7c9ad6b8/remote-console-address",
    )
    assert request.headers["x-auth-token"] == TOKEN
    assert request.headers["content-type"] == "application/json"
    assert result.request_id == cloud.REQUEST_ID


async def test_a_redirect_is_not_followed_and_carries_no_token_elsewhere() -> None:
    async with BrokenServer(answers(GOOD)) as elsewhere:
        redirect = cloud.answer(302, Location=f"{elsewhere.url}/v1", Set_Cookie="a=b")
        async with BrokenServer(answers(redirect)) as server:
            result = await probe_once(server.url)

    assert (result.outcome, result.status_code) == (Outcome.BAD_RESPONSE, 302)
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(broken_answers.endless_body, id="body"),
        pytest.param(broken_answers.endless_chunks, id="chunks"),
        pytest.param(broken_answers.endless_header, id="header"),
        pytest.param(broken_answers.endless_headers, id="headers"),
    ],
)
async def test_an_endless_answer_is_not_read_far_beyond_the_bound(behaviour: Behaviour) -> None:
    async with BrokenServer(behaviour) as server:
        await probe_once(server.url)

    # What the kernel's buffers on both sides took in is counted here too.
    assert server.bytes_sent < 16 * cloud.MIB


async def test_a_gzip_bomb_is_a_bad_response_that_costs_little_memory() -> None:
    bomb = cloud.gzip_bomb()
    async with BrokenServer(answers(bomb)) as server:
        tracemalloc.start()
        try:
            result = await probe_once(server.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert (result.outcome, result.status_code) == (Outcome.BAD_RESPONSE, 200)
    assert peak < 16 * cloud.MIB


# ---- Log-in


async def test_a_401_that_a_fresh_token_cures_is_no_failure() -> None:
    refusal = cloud.error(401, "APIGW.0307")
    async with BrokenServer(answers(refusal, GOOD)) as server:
        result = await probe_once(server.url, login=TokenLogin("old", "new"))

    assert (result.outcome, result.status_code) == (Outcome.SUCCESS, 200)
    assert [request.headers["x-auth-token"] for request in server.requests] == ["old", "new"]


async def test_a_401_that_a_fresh_token_does_not_cure_is_asked_twice_and_no_more() -> None:
    refusal = cloud.error(401, "APIGW.0301")
    async with BrokenServer(answers(refusal)) as server:
        result = await probe_once(server.url, login=TokenLogin("old", "new", "newer"))

    assert (result.outcome, result.status_code) == (Outcome.UNAUTHORIZED, 401)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert len(server.requests) == 2


async def test_without_a_token_nothing_is_sent_and_no_duration_is_told() -> None:
    async with BrokenServer(answers(GOOD)) as server:
        result = await probe_once(server.url, login=TokenLogin())

    assert (result.outcome, result.status_code) == (Outcome.UNAUTHORIZED, 0)
    assert result.stages == ()
    assert server.connections == 0
