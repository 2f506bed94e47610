"""Tests that the signature equals that of the official SDK and covers what the server sees."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

import httpx
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.cloud.auth.signature import Keys, signed_headers
from exporter.cloud.auth.signing import Signer
from exporter.cloud.observer import Unobserved
from exporter.config.config import Tls
from exporter.http.transport import WireTransport
from tests.http.requests import extensions

if TYPE_CHECKING:
    from tests.conftest import FakeClock

PROJECT_ID = "0123456789abcdef0123456789abcdef"
SERVER = "7c9ad6b8-b87e-43ae-8b3f-aaaaaaaaaaaa"
HOST = "clouddc.cn-southwest-2.myhuaweicloud.com"
CONSOLE = f"/v1/{PROJECT_ID}/physicalservers/{SERVER}/remote-console-address"


def sdk_headers(  # noqa: PLR0913 - all parts of a request
    keys: Keys,
    *,
    method: str,
    host: str,
    path: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes = b"",
) -> dict[str, str]:
    """Return the headers that the official SDK adds to a request, names in lower case."""
    credentials = BasicCredentials(keys.access_key, keys.secret_key, PROJECT_ID)
    credentials.security_token = keys.security_token
    request = SdkRequest(
        method=method,
        schema="https",
        host=host,
        resource_path=path,
        query_params=query,
        header_params=dict(headers),
        body=body,
    )
    credentials.sign_request(request)
    return {name.lower(): value for name, value in request.header_params.items()}


class FixedClock:
    """A clock that is fixed at the time of the published examples."""

    def time(self) -> float:
        return datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing should sleep {seconds} s here")


@pytest.mark.parametrize(
    ("security_token", "signature"),
    [
        (None, "17c4043dfcb7bb1ed810d1e89d4da9d82429585c76bde59e69fdb82624f48b26"),
        ("SECTOK", "a1741ff92d821fb4dfb72317c0ed87d545a471ff4ad1246b5b07cfe169444fc7"),
    ],
)
def test_matches_the_published_examples(security_token: str | None, signature: str) -> None:
    request = httpx.Request(
        "GET",
        f"https://{HOST}:443{CONSOLE}",
        headers={"content-type": "application/json", "user-agent": "console-exporter"},
    )
    keys = Keys("AKEXAMPLE", "SKEXAMPLE", security_token)
    Signer(PROJECT_ID, clock=FixedClock()).sign(request, keys)
    names = "content-type;host;x-project-id;x-sdk-date"
    if security_token:
        names = "content-type;host;x-project-id;x-sdk-date;x-security-token"
    assert request.headers["authorization"] == (
        f"SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders={names}, Signature={signature}"
    )
    assert request.headers["x-sdk-date"] == "20260101T000000Z"
    assert request.headers["x-project-id"] == PROJECT_ID
    assert request.headers.get("x-security-token") == security_token


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
RESERVED = st.text("/%~+ :;,?#[]@!$&'()*=.-_\\|\"<>^`{}aZ09\u00e9\u4e2d\U0001f600", max_size=20)
ENCODED = st.text("/%~abcdefABCDEF0123456789 ", max_size=20)
PATHS = (TEXT | RESERVED | ENCODED).map(lambda text: f"/{text}")
PAIRS = st.tuples(TEXT | RESERVED | st.sampled_from(["a", "b"]), TEXT | RESERVED | st.just(""))
KEYS = st.builds(
    Keys,
    access_key=st.text("ABCDEFGHIJ0123456789", min_size=1, max_size=20),
    secret_key=TEXT.filter(bool),
    security_token=st.none() | st.text("abcDEF+/=09", min_size=1, max_size=40),
)
HOSTS = st.sampled_from([HOST, "10.0.0.1", "h.example:8443", "[::1]:80", "localhost:18080"])
NAMES = st.text("abcdXYZ-_019", min_size=1, max_size=10).filter(
    lambda name: name.lower() not in {"authorization", "host", "content-type"}
)
TYPES = st.sampled_from(
    ["application/json", "application/json;charset=utf8", "application/bson", "text/plain", " "]
)


@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    keys=KEYS,
    method=st.sampled_from(["GET", "POST", "put", "Delete", "HEAD", "PATCH", "OPTIONS"]),
    host=HOSTS,
    path=PATHS,
    query=st.lists(PAIRS, max_size=4),
    own=st.dictionaries(NAMES, TEXT | st.just(" two  words\t"), max_size=3),
    content_type=st.none() | TYPES,
    body=st.binary(max_size=30),
    seconds=st.integers(0, 4_000_000_000),
)
def test_equals_the_official_sdk_for_any_input(  # noqa: PLR0913, PLR0917 - all parts of a request
    keys: Keys,
    method: str,
    host: str,
    path: str,
    query: list[tuple[str, str]],
    own: dict[str, str],
    content_type: str | None,
    body: bytes,
    seconds: int,
) -> None:
    headers = {name.lower(): value for name, value in own.items()}
    headers["X-Sdk-Date"] = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
    if content_type is not None:
        headers["Content-Type"] = content_type
    expected = sdk_headers(
        keys, method=method, host=host, path=path, query=list(query), headers=headers, body=body
    )
    signed = signed_headers(
        keys,
        method=method,
        path=path,
        query=query,
        headers={**headers, "Host": host, "X-Project-Id": PROJECT_ID},
        body=body,
    )
    assert signed["authorization"] == expected["authorization"]
    assert signed == {name: expected[name] for name in signed}


def segments_without_dots(path: str) -> bool:
    """Return whether no segment is ``.`` or ``..``, which clients and servers remove."""
    return not {".", ".."} & set(path.split("/"))


@settings(max_examples=1500, deadline=None)
@given(
    keys=KEYS,
    host=st.sampled_from([HOST, f"{HOST}:443", "10.0.0.1:8443", "localhost:18080"]),
    path=PATHS.filter(segments_without_dots),
    query=st.lists(PAIRS, max_size=4),
)
def test_signs_path_and_query_as_the_server_decodes_them(
    keys: Keys, host: str, path: str, query: list[tuple[str, str]]
) -> None:
    url = httpx.URL(f"https://{host}{quote(path)}", params=query)
    request = httpx.Request("GET", url, headers={"content-type": "application/json"})
    Signer(PROJECT_ID, clock=FixedClock()).sign(request, keys)
    wire_path, _, wire_query = request.url.raw_path.decode().partition("?")
    expected = sdk_headers(
        keys,
        method="GET",
        host=request.headers["host"],
        path=wire_path,
        query=parse_qsl(wire_query, keep_blank_values=True),
        headers={"Content-Type": "application/json", "X-Sdk-Date": "20260101T000000Z"},
    )
    assert request.headers["authorization"] == expected["authorization"]
    assert host.removesuffix(":443") == request.headers["host"]


@pytest.mark.parametrize(
    "target",
    [
        CONSOLE,
        "/",
        "//a//b//",
        "/a%2Fb/%7Ec/~d/e%20f/\u00e9/%41/a+b;k=v/a%25b/%zz/a|b/%ff",
        "/l?limit=1000&marker=%2B+%20%26&b&a=&a=0&a=1&\u00e9=\u4e2d&c=d=e&&q=/?:@!$'()*,[]",
    ],
)
async def test_the_signature_covers_the_request_that_arrives(
    target: str, clock: "FakeClock"
) -> None:
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set_result(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    keys = Keys("AK", "SK", "SECTOK")
    transport = WireTransport(tls=Tls(), proxy_url=None, observer=Unobserved())
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        request = httpx.Request(
            "GET",
            f"http://127.0.0.1:{port}{target}",
            headers={"content-type": "application/json", "user-agent": "console-exporter"},
        )
        Signer(PROJECT_ID, clock=clock).sign(request, keys)
        request.extensions = extensions()
        await transport.handle_async_request(request)
        await transport.aclose()
    line, *lines = (await arrived).decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines if x)}
    path, _, query = line.split(" ")[1].partition("?")
    expected = sdk_headers(
        keys,
        method=line.split(" ")[0],
        host=headers["host"],
        path=path,
        query=parse_qsl(query, keep_blank_values=True),
        headers={
            "Content-Type": headers["content-type"],
            "X-Sdk-Date": headers["x-sdk-date"],
        },
    )
    assert headers["authorization"] == expected["authorization"]
    assert headers["x-security-token"] == "SECTOK"


def test_keys_are_not_in_their_repr() -> None:
    text: Any = repr(Keys("AKEXAMPLE", "SKEXAMPLE", "SECTOK"))
    assert text == "Keys()"
