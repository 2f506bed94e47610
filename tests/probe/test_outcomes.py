"""Each response of the cloud's API, good or broken, gives its own outcome."""

import gzip
import json
import tracemalloc
import zlib
from dataclasses import dataclass, replace

import pytest

from exporter.cloud.reachability import Reachability
from exporter.outcome import Outcome, Verdict
from tests.real import broken_responses
from tests.real import cloud_responses as cloud
from tests.real.broken_responses import (
    answers,
    answers_and_closes,
    answers_and_resets,
    answers_and_stalls,
)
from tests.real.broken_servers import Behaviour, BrokenServer, closes, resets, stalls
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.probing import AMPLE_TIMEOUT, SHORT_TIMEOUT, TOKEN, TokenLogin, probe_once

UNKNOWN_API = "APIGW.0101"


@dataclass(frozen=True, slots=True)
class Case:
    """The behaviour of a server and the expected result if the API answers other requests.

    ``from_api`` tells that the response has the API's own form, and so needs no other evidence.
    """

    behaviour: Behaviour
    outcome: Outcome
    status_code: int = 0
    error_code: str = ""
    timeout: float = AMPLE_TIMEOUT
    from_api: bool = False


def ok(raw: bytes) -> Case:
    return Case(answers(raw), Outcome.SUCCESS, 200)


def bad_response(raw: bytes, status: int = 200) -> Case:
    return Case(answers(raw), Outcome.BAD_RESPONSE, status)


def bad_address(url: object) -> Case:
    from_api = isinstance(url, str)
    return replace(bad_response(cloud.console_address(url)), from_api=from_api)


def error(outcome: Outcome, status: int, code: str, **headers: str) -> Case:
    behaviour = answers(cloud.error(status, code, **headers))
    return Case(behaviour, outcome, status, code, from_api=code != UNKNOWN_API)


def raw_response(outcome: Outcome, status: int, raw: bytes, code: str = "") -> Case:
    return Case(answers(raw), outcome, status, code, from_api=bool(code))


def protocol_error(raw: bytes) -> Case:
    return Case(answers_and_closes(raw), Outcome.PROTOCOL_ERROR)


GOOD = cloud.console_address()
GOOD_CHUNK = b"%x\r\n%s\r\n" % (len(cloud.GOOD_BODY), cloud.GOOD_BODY)
CHUNKED = cloud.HEAD_OK + b"Transfer-Encoding: chunked\r\n\r\n"
NOT_READY = json.dumps({"error_code": "iMetal.0101", "error_msg": "not ready"}).encode()


def packed(body: bytes, encoding: str = "gzip", status: int = 200) -> bytes:
    return cloud.response(status, body, Content_Encoding=encoding)


def members(body: bytes) -> bytes:
    return gzip.compress(body[:20]) + gzip.compress(body[20:])


TOO_LONG = cloud.console_address_of_size(cloud.MIB + 1)

SUCCESSES = {
    "documented response": ok(GOOD),
    "console over http": ok(cloud.console_address("http://console.example/vnc?token=t")),
    "unknown fields": ok(cloud.json_response(200, {"url": cloud.CONSOLE_URL, "more": [1]})),
    "body of exactly 1 MiB": ok(cloud.console_address_of_size(cloud.MIB)),
    "gzip": ok(cloud.gzipped(cloud.GOOD_BODY)),
    "x-gzip": ok(cloud.gzipped(cloud.GOOD_BODY, "x-gzip")),
    "identity encoding": ok(cloud.response(200, cloud.GOOD_BODY, Content_Encoding="identity")),
    "charset as encoding": ok(packed(cloud.GOOD_BODY, "UTF-8")),
    "unknown encoding": ok(packed(cloud.GOOD_BODY, "rot13")),
    "gzip and identity": ok(cloud.gzipped(cloud.GOOD_BODY, "gzip, identity")),
    "gzip twice": ok(packed(gzip.compress(gzip.compress(cloud.GOOD_BODY)), "gzip, gzip")),
    "encodings in two headers": ok(
        packed(gzip.compress(cloud.GOOD_BODY)).replace(
            b"\r\n", b"\r\nContent-Encoding: UTF-8\r\n", 1
        )
    ),
    "gzip in members": ok(packed(members(cloud.GOOD_BODY))),
    "gzip with padding": ok(packed(gzip.compress(cloud.GOOD_BODY) + bytes(512))),
    "deflate": ok(packed(zlib.compress(cloud.GOOD_BODY), "deflate")),
    "deflate without a header": ok(packed(zlib.compress(cloud.GOOD_BODY)[2:-4], "deflate")),
    "chunked": ok(CHUNKED + GOOD_CHUNK + b"0\r\n\r\n"),
    "body until close": Case(
        answers_and_closes(b"HTTP/1.1 200 OK\r\n\r\n" + cloud.GOOD_BODY), Outcome.SUCCESS, 200
    ),
    "HTTP/1.0": Case(
        answers_and_closes(b"HTTP/1.0 200 OK\r\n\r\n" + cloud.GOOD_BODY), Outcome.SUCCESS, 200
    ),
    "no content type": ok(cloud.response(200, cloud.GOOD_BODY)),
    "100 before the response": ok(b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD),
    "103 before the response": ok(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + GOOD),
    "16 kB header": ok(cloud.response(200, cloud.GOOD_BODY, X_Token="t" * 16384)),
    "slow response": Case(broken_responses.answers_late(0.2, GOOD), Outcome.SUCCESS, 200),
    "trickled response": Case(
        broken_responses.trickles(GOOD, at_once=len(GOOD) - 20, pause=0.005), Outcome.SUCCESS, 200
    ),
}

BAD_RESPONSES = {
    "empty 200": bad_response(cloud.response(200)),
    "HTML 200": bad_response(cloud.response(200, "<html>Log in</html>", Content_Type="text/html")),
    "invalid JSON": bad_response(cloud.response(200, '{"url": "https://console.ex')),
    "not UTF-8": bad_response(cloud.response(200, b'{"url": "https://\xff\xfe"}')),
    "list": bad_response(cloud.json_response(200, [cloud.CONSOLE_URL])),
    "text": bad_response(cloud.json_response(200, cloud.CONSOLE_URL)),
    "null": bad_response(cloud.json_response(200, None)),
    "url missing": bad_response(cloud.json_response(200, {"uri": cloud.CONSOLE_URL})),
    "nested 10,000 deep": bad_response(
        cloud.response(200, '{"url":' + "[" * 10_000 + "]" * 10_000 + "}")
    ),
    "integer of 10,000 digits": bad_response(cloud.response(200, '{"url":' + "9" * 10_000 + "}")),
    "url a number": bad_address(7),
    "url null": bad_address(None),
    "url a list": bad_address([cloud.CONSOLE_URL]),
    "url empty": bad_address(""),
    "javascript url": bad_address("javascript:alert(1)"),
    "ftp url": bad_address("ftp://console.example/vnc"),
    "file url": bad_address("file:///etc/passwd"),
    "relative url": bad_address("/vnc/vnc_auto.html?token=t"),
    "scheme-relative url": bad_address("//console.example/vnc"),
    "url with a space": bad_address("https://console.example/a b"),
    "url after a space": bad_address(" https://console.example/"),
    "url with a line end": bad_address("https://console.example/\r\nX-Injected: 1"),
    "url with NUL": bad_address("https://console.example/\0"),
    # RFC 9110, 4.2.4: a user name in an untrusted URL is an error, as it may hide the real host.
    "url with a user name": bad_address("https://huaweicloud.com@console.example/vnc"),
    "url with user name and password": bad_address("https://user:pass@console.example/vnc"),
    "url without a host": bad_address("https:///vnc"),
    "url with a port out of range": bad_address("https://console.example:65536/vnc"),
    "url with a non-numeric port": bad_address("https://console.example:https/vnc"),
    "url with an open bracket": bad_address("https://[::1/vnc"),
    "url of 100 kB": bad_address("https://console.example/" + "x" * 100_000),
    "body of 1 MiB and one byte": bad_response(TOO_LONG),
    "chunked body over 1 MiB": bad_response(
        CHUNKED + b"%x\r\n" % (cloud.MIB + 1) + b" " * (cloud.MIB + 1) + b"\r\n0\r\n\r\n"
    ),
    "endless body": Case(broken_responses.endless_body, Outcome.BAD_RESPONSE, 200),
    "endless chunks": Case(broken_responses.endless_chunks, Outcome.BAD_RESPONSE, 200),
    "encoding that was not requested": bad_response(
        cloud.response(200, b"\x0b\x02\x80{}\x03", Content_Encoding="br")
    ),
    "gzip once that claims to be twice": bad_response(cloud.gzipped(cloud.GOOD_BODY, "gzip, gzip")),
    "gzip in members of over 1 MiB": bad_response(packed(gzip.compress(b" " * cloud.MIB) * 2)),
    "body that is not gzip": bad_response(
        cloud.response(200, cloud.GOOD_BODY, Content_Encoding="gzip")
    ),
    "gzip cut short": bad_response(
        cloud.response(
            200,
            cloud.gzipped(cloud.GOOD_BODY).partition(b"\r\n\r\n")[2][:-12],
            Content_Encoding="gzip",
        )
    ),
    **{
        f"undocumented {status}": bad_response(cloud.response(status, GOOD_CHUNK), status)
        for status in (201, 202, 206, 300, 301, 305, 307, 308, 402, 405, 408, 410, 418, 451, 499)
    },
    "204": bad_response(b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    "304": bad_response(b"HTTP/1.1 304 Not Modified\r\n\r\n", 304),
    "302 without a location": bad_response(cloud.response(302), 302),
    "status 999": bad_response(cloud.response(999), 999),
}

THROTTLED = {
    "gateway's 429": raw_response(Outcome.THROTTLED, 429, cloud.THROTTLED_BY_GATEWAY, "APIGW.0308"),
    "dedicated gateway's 429": error(Outcome.THROTTLED, 429, "APIG.0308"),
    "CloudDC's 429": error(Outcome.THROTTLED, 429, "iMetal.0005"),
    "empty 429": raw_response(Outcome.THROTTLED, 429, cloud.response(429)),
    "plain-text 429": raw_response(
        Outcome.THROTTLED, 429, cloud.response(429, "Too Many Requests")
    ),
    "429 with seconds": error(Outcome.THROTTLED, 429, "APIGW.0308", Retry_After="7"),
    "429 with a date": error(
        Outcome.THROTTLED, 429, "APIGW.0308", Retry_After="Fri, 31 Dec 2100 23:59:59 GMT"
    ),
    "429 with an invalid wait": error(Outcome.THROTTLED, 429, "APIGW.0308", Retry_After="soon"),
    "429 with 5,000 digits": error(Outcome.THROTTLED, 429, "APIGW.0308", Retry_After="9" * 5000),
}


def with_broken_body(outcome: Outcome, status: int) -> dict[str, Case]:
    """Return responses with broken bodies, whose status alone determines the outcome."""
    cut = cloud.response(status, b"{}")[:-1]
    behaviours = {
        "over 1 MiB": answers(cloud.response(status, b" " * (cloud.MIB + 1))),
        "in an unknown encoding": answers(cloud.response(status, b"?", Content_Encoding="br")),
        "cut short": answers_and_closes(cut),
        "reset": answers_and_resets(cut),
    }
    cases = {
        f"{status} with a body {how}": Case(behaviour, outcome, status)
        for how, behaviour in behaviours.items()
    }
    stalled = Case(answers_and_stalls(cut), outcome, status, timeout=SHORT_TIMEOUT)
    return cases | {f"{status} with a body that stalls": stalled}


# An inconclusive outcome stays inconclusive, even if the body is broken.
BROKEN_BODIES = {
    **with_broken_body(Outcome.THROTTLED, 429),
    **with_broken_body(Outcome.UNAUTHORIZED, 401),
    **with_broken_body(Outcome.FORBIDDEN, 403),
    **with_broken_body(Outcome.NOT_FOUND, 404),
    **with_broken_body(Outcome.SERVER_ERROR, 502),
}

NOT_READY_BODIES = {
    "in gzip": packed(gzip.compress(NOT_READY), status=400),
    "in gzip members": packed(members(NOT_READY), status=400),
    "with a charset as encoding": packed(NOT_READY, "UTF-8", 400),
    "in gzip and identity": packed(members(NOT_READY), "gzip, identity", 400),
    "in deflate": packed(zlib.compress(NOT_READY), "deflate", 400),
    "in gzip with a wrong checksum": packed(gzip.compress(NOT_READY)[:-8] + b"?" * 8, status=400),
    "in gzip without its end": packed(gzip.compress(NOT_READY)[:-8], status=400),
    "labelled as gzip": packed(NOT_READY, status=400),
    "labelled as br": packed(NOT_READY, "br", 400),
}
ERRORS = {
    **{
        f"iMetal.0101 {how}": raw_response(Outcome.NOT_READY, 400, raw, "iMetal.0101")
        for how, raw in NOT_READY_BODIES.items()
    },
    "iMetal.0101 without its last chunk": Case(
        answers_and_closes(
            CHUNKED.replace(b"200 OK", b"400 Bad") + b"%x\r\n%s\r\n" % (len(NOT_READY), NOT_READY)
        ),
        Outcome.NOT_READY,
        400,
        "iMetal.0101",
        from_api=True,
    ),
    "iMetal.0101": error(Outcome.NOT_READY, 400, "iMetal.0101"),
    "iMetal.0001": error(Outcome.BAD_REQUEST, 400, "iMetal.0001"),
    "APIGW.0201": error(Outcome.BAD_REQUEST, 400, "APIGW.0201"),
    "400 of HTML": raw_response(Outcome.BAD_REQUEST, 400, cloud.response(400, "<html></html>")),
    "400 empty": raw_response(Outcome.BAD_REQUEST, 400, cloud.response(400)),
    "400 in camel case": raw_response(
        Outcome.NOT_READY,
        400,
        cloud.json_response(400, {"errorCode": "iMetal.0101"}),
        "iMetal.0101",
    ),
    "400 nested": raw_response(
        Outcome.NOT_READY,
        400,
        cloud.json_response(400, {"error": {"code": "iMetal.0101", "message": "not ready"}}),
        "iMetal.0101",
    ),
    "401 of IAM": raw_response(Outcome.UNAUTHORIZED, 401, cloud.IAM_UNAUTHORIZED, "401"),
    "401 of the gateway": error(Outcome.UNAUTHORIZED, 401, "APIGW.0301"),
    "401 of an expired token": error(Outcome.UNAUTHORIZED, 401, "APIGW.0307"),
    "401 of CloudDC": error(Outcome.UNAUTHORIZED, 401, "iMetal.0003"),
    "401 empty": raw_response(Outcome.UNAUTHORIZED, 401, cloud.response(401)),
    "403 of CloudDC": error(Outcome.FORBIDDEN, 403, "iMetal.0004"),
    "403 of the gateway": error(Outcome.FORBIDDEN, 403, "APIGW.0302"),
    "404 of a server": error(Outcome.NOT_FOUND, 404, "iMetal.0100"),
    "404 of an API": error(Outcome.NOT_FOUND, 404, UNKNOWN_API),
    "404 of HTML": raw_response(Outcome.NOT_FOUND, 404, cloud.response(404, "<html></html>")),
    "500": error(Outcome.SERVER_ERROR, 500, "iMetal.0099"),
    "502 of HTML": raw_response(Outcome.SERVER_ERROR, 502, cloud.response(502, "<html></html>")),
    "503": error(Outcome.SERVER_ERROR, 503, "APIGW.0613"),
    "504": error(Outcome.SERVER_ERROR, 504, "APIGW.0201"),
    "599": raw_response(Outcome.SERVER_ERROR, 599, cloud.response(599)),
    "code of free text": raw_response(
        Outcome.SERVER_ERROR, 500, cloud.error(500, 'x"} 1\nuntrusted free text')
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
    "cut mid-header": protocol_error(GOOD[:40]),
    "cut mid-status-line": protocol_error(GOOD[:7]),
    "reset mid-body": Case(answers_and_resets(GOOD[:-9]), Outcome.PROTOCOL_ERROR, 200),
    "reset before the response": Case(resets, Outcome.PROTOCOL_ERROR),
    "closed without a byte": Case(closes, Outcome.PROTOCOL_ERROR),
    "random bytes": protocol_error(bytes(range(256)) * 4),
    "SSH": protocol_error(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "HTTP/0.9": protocol_error(b"<html>hello</html>"),
    "HTTP/2 only": protocol_error(bytes.fromhex("000012040000000000") + bytes(18)),
    "non-numeric status": protocol_error(b"HTTP/1.1 OK 200\r\n\r\n"),
    # libcurl ignores it, as browsers do.
    "header without a name": Case(
        answers(cloud.HEAD_OK + b": x\r\n" + GOOD.partition(b"\r\n")[2]), Outcome.SUCCESS, 200
    ),
    "header without a colon": protocol_error(cloud.HEAD_OK + b"no colon here\r\n\r\n"),
    "negative length": protocol_error(cloud.HEAD_OK + b"Content-Length: -1\r\n\r\n"),
    "two lengths": protocol_error(
        cloud.HEAD_OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"
    ),
    "invalid chunk size": Case(
        answers(CHUNKED + b"what\r\n{}\r\n0\r\n\r\n"), Outcome.PROTOCOL_ERROR, 200
    ),
    "invalid chunk size, later": Case(
        broken_responses.trickles(CHUNKED + b"what\r\n", at_once=len(CHUNKED), pause=0.02),
        Outcome.PROTOCOL_ERROR,
        200,
    ),
    "header of 1 MiB": protocol_error(cloud.response(200, X_Large="x" * cloud.MIB)),
    "endless header": Case(broken_responses.endless_header, Outcome.PROTOCOL_ERROR),
    "endless headers": Case(broken_responses.endless_headers, Outcome.PROTOCOL_ERROR),
    "never answers": Case(stalls, Outcome.TIMEOUT, timeout=SHORT_TIMEOUT),
    "stalls mid-header": Case(
        answers_and_stalls(GOOD[:40]), Outcome.TIMEOUT, timeout=SHORT_TIMEOUT
    ),
    "stalls mid-body": Case(
        answers_and_stalls(GOOD[:-9]), Outcome.TIMEOUT, 200, timeout=SHORT_TIMEOUT
    ),
    "answers too late": Case(
        broken_responses.answers_late(5, GOOD), Outcome.TIMEOUT, timeout=SHORT_TIMEOUT
    ),
    "trickles headers": Case(
        broken_responses.trickles(GOOD, at_once=0, pause=0.02),
        Outcome.TIMEOUT,
        timeout=SHORT_TIMEOUT,
    ),
    "trickles the body": Case(
        broken_responses.trickles(GOOD, at_once=len(GOOD) - 100, pause=0.02),
        Outcome.TIMEOUT,
        200,
        timeout=SHORT_TIMEOUT,
    ),
    "endless early hints": Case(broken_responses.endless_early_hints, Outcome.PROTOCOL_ERROR),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name)
        for table in (
            SUCCESSES,
            BAD_RESPONSES,
            THROTTLED,
            BROKEN_BODIES,
            ERRORS,
            BROKEN,
        )
        for name, case in table.items()
    ],
)
@retry_if_machine_stalled
async def test_each_server_behaviour_gives_its_outcome(case: Case) -> None:
    async with BrokenServer(case.behaviour) as server:
        result = await probe_once(server.url, timeout=case.timeout)

    assert (result.outcome, result.status_code, result.error_code) == (
        case.outcome,
        case.status_code,
        case.error_code,
    ), result.detail
    assert len(server.requests) <= 1


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name)
        for table in (BAD_RESPONSES, BROKEN_BODIES, ERRORS, BROKEN)
        for name, case in table.items()
        if case.outcome.verdict is Verdict.FAILURE
    ],
)
@retry_if_machine_stalled
async def test_if_the_api_answers_nobody_only_its_own_response_is_evidence(case: Case) -> None:
    async with BrokenServer(case.behaviour) as server:
        result = await probe_once(server.url, timeout=case.timeout, reachability=Reachability)

    if case.from_api:
        assert result.outcome is case.outcome
    else:
        assert result.outcome in {Outcome.UNREACHABLE, Outcome.WRONG_ENDPOINT}
    assert (result.status_code, result.error_code) == (case.status_code, case.error_code)
    # The probe and the control request.
    assert len(server.requests) <= 2


async def test_the_request_is_as_documented() -> None:
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


async def test_a_redirect_of_the_api_is_not_followed() -> None:
    async with BrokenServer(answers(GOOD)) as elsewhere:
        redirect = cloud.response(302, Location=f"{elsewhere.url}/v1", Set_Cookie="a=b")
        async with BrokenServer(answers(redirect)) as server:
            result = await probe_once(server.url)

    assert (result.outcome, result.status_code) == (Outcome.BAD_RESPONSE, 302)
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(broken_responses.endless_body, id="body"),
        pytest.param(broken_responses.endless_chunks, id="chunks"),
        pytest.param(broken_responses.endless_header, id="header"),
        pytest.param(broken_responses.endless_headers, id="headers"),
    ],
)
async def test_an_endless_response_is_not_read_far_beyond_the_limit(behaviour: Behaviour) -> None:
    async with BrokenServer(behaviour) as server:
        await probe_once(server.url)

    # Includes what is in the kernel's buffers on both sides.
    assert server.bytes_sent < 16 * cloud.MIB


async def test_a_gzip_bomb_is_a_bad_response_and_uses_little_memory() -> None:
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


# ---- Login


async def test_a_401_is_retried_with_a_new_token() -> None:
    unauthorized = cloud.error(401, "APIGW.0307")
    async with BrokenServer(answers(unauthorized, GOOD)) as server:
        result = await probe_once(server.url, login=TokenLogin("old", "new"))

    assert (result.outcome, result.status_code) == (Outcome.SUCCESS, 200)
    assert [request.headers["x-auth-token"] for request in server.requests] == ["old", "new"]


async def test_a_401_is_retried_only_once() -> None:
    unauthorized = cloud.error(401, "APIGW.0301")
    async with BrokenServer(answers(unauthorized)) as server:
        result = await probe_once(server.url, login=TokenLogin("old", "new", "newer"))

    assert (result.outcome, result.status_code) == (Outcome.UNAUTHORIZED, 401)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert len(server.requests) == 2


async def test_without_a_token_nothing_is_sent_and_no_stage_is_timed() -> None:
    async with BrokenServer(answers(GOOD)) as server:
        result = await probe_once(server.url, login=TokenLogin())

    assert (result.outcome, result.status_code) == (Outcome.UNAUTHORIZED, 0)
    assert result.stages == ()
    assert server.connections == 0
