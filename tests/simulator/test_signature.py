"""Signatures of the official signer are verified."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from exporter.simulator.signature import AuthorizationHeader, SignedRequest, is_signed_by, signed_at

_TARGET = (
    "/v1/0123456789abcdef0123456789abcdef/physicalservers/"
    "7c9ad6b8-b87e-43ae-8b3f-aaaaaaaaaaaa/remote-console-address"
)
_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12)
_QUERY = st.dictionaries(_TEXT.filter(bool), _TEXT, max_size=4)
_HEADER_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
_HEADERS = st.dictionaries(st.from_regex(r"X-[a-z]{1,8}", fullmatch=True), _HEADER_VALUE)


def _header(names: str, signature: str) -> AuthorizationHeader:
    header = AuthorizationHeader.parse(
        f"SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders={names}, Signature={signature}"
    )
    assert header
    return header


@pytest.mark.parametrize(
    ("security_token", "signature"),
    [
        (None, "17c4043dfcb7bb1ed810d1e89d4da9d82429585c76bde59e69fdb82624f48b26"),
        ("SECTOK", "a1741ff92d821fb4dfb72317c0ed87d545a471ff4ad1246b5b07cfe169444fc7"),
    ],
)
def test_known_signatures_are_accepted(security_token: str | None, signature: str) -> None:
    headers = {
        "content-type": "application/json",
        "host": "clouddc.cn-southwest-2.myhuaweicloud.com",
        "x-project-id": "0123456789abcdef0123456789abcdef",
        "x-sdk-date": "20260101T000000Z",
        "X-Sdk-Date": "20260101T000000Z",
    }
    names = "content-type;host;x-project-id;x-sdk-date"
    if security_token:
        headers["x-security-token"] = security_token
        names += ";x-security-token"
    request = SignedRequest("GET", _TARGET, headers)
    header = _header(names, signature)
    assert is_signed_by("SKEXAMPLE", header, request)
    assert not is_signed_by("SKEXAMPLF", header, request)
    assert signed_at(request) == datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def _signed_by_the_sdk(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], body: str
) -> tuple[AuthorizationHeader, SignedRequest]:
    request = SdkRequest(
        method=method,
        schema="http",
        host="127.0.0.1:8080",
        resource_path=path,
        query_params=list(query.items()),
        header_params={"Content-Type": "application/json", **headers},
        body=body,
    )
    signed = Signer(BasicCredentials("AK", "SK", "project")).sign(request)
    sent = Headers({name: str(value) for name, value in signed.header_params.items()})
    header = AuthorizationHeader.parse(sent["Authorization"])
    assert header
    return header, SignedRequest(method, signed.uri, sent, body.encode())


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    segments=st.lists(_TEXT.filter(lambda text: "?" not in text and "%" not in text), max_size=4),
    query=_QUERY,
    headers=_HEADERS,
    body=_TEXT,
)
def test_signatures_of_the_official_signer_are_accepted(
    method: str, segments: list[str], query: dict[str, str], headers: dict[str, str], body: str
) -> None:
    path = "/" + "/".join(segments)
    header, request = _signed_by_the_sdk(method, path, query, headers, body)
    assert is_signed_by("SK", header, request)


@settings(deadline=None)
@given(query=_QUERY, change=st.sampled_from(["method", "path", "query", "header", "body", "key"]))
def test_changes_after_signing_are_rejected(query: dict[str, str], change: str) -> None:
    header, request = _signed_by_the_sdk("GET", "/v1/a", query, {"X-Some": "thing"}, "body")
    key = "SK"
    match change:
        case "method":
            request = replace(request, method="PUT")
        case "path":
            request = replace(request, target=request.target.replace("/v1/a", "/v1/b"))
        case "query":
            joint = "&" if "?" in request.target else "?"
            request = replace(request, target=f"{request.target}{joint}more=1")
        case "header":
            headers = Headers({**request.headers, "x-some": "other"})
            request = replace(request, headers=headers)
        case "body":
            request = replace(request, body=b"other")
        case _:
            key = "SL"
    assert not is_signed_by(key, header, request)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer x",
        "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature=zz",
        f"SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature={'0' * 64}",
        f"SDK-HMAC-SHA256 Access=AK, SignedHeaders=x-sdk-date, Signature={'0' * 64}",
        f"V11-HMAC-SHA256 Credential=AK, SignedHeaders=host;x-sdk-date, Signature={'0' * 64}",
    ],
)
def test_malformed_header_is_not_parsed(header: str) -> None:
    assert AuthorizationHeader.parse(header) is None


def test_missing_signed_header_is_rejected() -> None:
    header = _header("host;x-gone;x-sdk-date", "0" * 64)
    headers = Headers({"Host": "h", "X-Sdk-Date": "20260101T000000Z"})
    assert not is_signed_by("SK", header, SignedRequest("GET", "/", headers))


@pytest.mark.parametrize("date", ["", "2026", "20260101T000000", "20261301T000000Z"])
def test_malformed_date_is_none(date: str) -> None:
    assert signed_at(SignedRequest("GET", "/", {"X-Sdk-Date": date})) is None
