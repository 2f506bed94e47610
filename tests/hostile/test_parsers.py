"""Parsers of untrusted input neither crash nor block: thousands of generated inputs."""

import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.cloud.api_error import ApiError
from exporter.cloud.auth.expiring_credentials import expiring_credentials
from exporter.cloud.errors import LoginFailedError
from exporter.cloud.server_list import _listed, _next_marker
from exporter.config.host_pattern import HostPattern, host_of
from exporter.http.errors import ForbiddenAddressError
from exporter.probe.address import AddressError, ConsoleAddress
from exporter.probe.allowed_hosts import AllowedHosts
from exporter.probe.api import console_address
from exporter.probe.cookies import Cookies
from exporter.probe.novnc import ways, websocket_address
from exporter.probe.stage import StageFailedError
from exporter.ratelimit.retry_after import RETRY_AFTER_MAX, RETRY_AFTER_MIN, RateLimitResponse
from tests.hostile import strategies
from tests.hostile.hypothesis_settings import examples
from tests.http.responses import received

NOW = 1_800_000_000.0
# Seconds of the thread's CPU time, because other processes may keep the machine busy.
PARSE_SECONDS_MAX = 0.05


@contextmanager
def quickly() -> Iterator[None]:
    """Fail when the block uses more CPU time than the event loop may be blocked for."""
    # Garbage of the tests must not be collected on the exporter's account.
    gc.disable()
    started = time.thread_time()
    try:
        yield
        assert time.thread_time() - started < PARSE_SECONDS_MAX
    finally:
        gc.enable()


def response_with(
    status: int, body: bytes, fields: list[tuple[str, str]] | None = None
) -> httpx.Response:
    headers = httpx.Headers(
        [
            (name.encode(), value.encode(errors="surrogatepass"))
            for name, value in fields or []
            # The wire's transport decodes the body and drops it.
            if name.lower() != "content-encoding"
        ]
    )
    return received(status, headers, body)


@examples(400)
@given(st.integers(0, 999), strategies.bodies, strategies.headers)
def test_any_api_error_is_parsed(status: int, body: bytes, fields: list[tuple[str, str]]) -> None:
    with quickly():
        error = ApiError.of(response_with(status, body, fields))
    assert len(error.code) <= 41
    assert error.code.isascii()
    assert len(error.request_id) <= 128
    assert error.request_id.isascii()
    assert len(error.message) <= 500


@examples(400)
@given(strategies.bodies, strategies.headers)
def test_any_rate_limit_response_is_parsed(body: bytes, fields: list[tuple[str, str]]) -> None:
    with quickly():
        parsed = RateLimitResponse.of(response_with(429, body, fields), NOW)
    assert parsed.retry_after is None or RETRY_AFTER_MIN <= parsed.retry_after <= RETRY_AFTER_MAX
    assert parsed.policy is None or parsed.policy.rate > 0


@examples(400)
@given(strategies.dates | st.text(max_size=40) | st.integers() | st.none(), strategies.dates)
def test_any_lifetime_is_parsed_or_rejected(ends: object, date: str) -> None:
    with quickly():
        try:
            credentials = expiring_credentials(
                "t", ends, response_with(201, b"", [("Date", date)]), NOW
            )
        except LoginFailedError:
            return
    assert 0 < credentials.lifetime < 10_000 * 366 * 86_400


@examples(400)
@given(strategies.bodies)
def test_any_console_address_is_parsed_or_rejected(body: bytes) -> None:
    with quickly():
        try:
            shown = repr(console_address(response_with(200, body), ApiError()))
        except StageFailedError as failure:
            shown = str(failure)
    assert f"token={strategies.CANARY}" not in shown


ALLOWED = AllowedHosts(
    tuple(map(HostPattern.parse, ("*.huaweicloud.com", "127.0.0.1", "fd00::/8")))
)


PLAIN_URLS = st.from_regex(
    r"https?://[a-z0-9.-]{1,12}(:[0-9]{1,5})?(/[A-Za-z0-9._~-]{0,4}){1,3}(\?[a-z0-9._~=&-]{0,9})?",
    fullmatch=True,
)


@examples(600)
@given(strategies.urls | PLAIN_URLS, strategies.urls | st.text(max_size=30))
@example("hTtps://[fd00::2]:443/vnc//[v", "")
@example("https://127.0.0.1:0/", "")
@example("http://console.example./a/../b", "")
def test_the_checked_address_is_the_one_connected_to(text: str, location: str) -> None:
    with quickly():
        try:
            found = ConsoleAddress.parse(text)
        except AddressError:
            return
        with suppress(ForbiddenAddressError):
            ALLOWED.check(found.scheme, found.host, found.port)
        connected = httpx.URL(found.url)
        assert connected.scheme == found.scheme
        assert host_of(connected.raw_host.decode()) == found.host
        assert (connected.port or {"http": 80, "https": 443}[found.scheme]) == found.port
        try:
            followed = found.follow(location)
            for way in ways(followed):
                opened = websocket_address(followed, way, found.setting("path") or "websockify")
                assert httpx.URL(opened.text).scheme in {"http", "https"}
        except AddressError:
            return
        # Paths may be shown; queries hold the token.
        assert "?" not in repr(followed)


@examples(400)
@given(st.text(max_size=40))
@example("0.0.0.0/0")
@example("[::ffff:1.2.3.4]:80")
@example("*.xn--a")
def test_any_host_pattern_is_parsed_or_rejected(text: str) -> None:
    with quickly():
        try:
            HostPattern.parse(text).covers("a.example.com", 443)
        except ValueError as error:
            raised = type(error)
        else:
            raised = ValueError
    assert raised is ValueError


@examples(400)
@given(strategies.headers)
@example([("Set-Cookie", "a Patdomain\xff\xff=b")])
@example([("Set-Cookie", "a=b;max-age; Expn i0")])
@example([("Set-Cookie", "a=b;version")])
@example([("Set-Cookie", 'a=a; Expires=Wed, 04 Jwn 2027 10:18:14 GMT; Max"; Se"')])
def test_any_cookie_is_ignored_or_can_be_sent(fields: list[tuple[str, str]]) -> None:
    cookies, url = Cookies(), httpx.URL("https://h.example/a/b")
    with quickly():
        cookies.take((value for name, value in fields if name == "Set-Cookie"), url)
        header = cookies.header(url)
    assert header.isascii()
    assert not header or header.isprintable()


@examples(300)
@given(strategies.values)
def test_any_server_record_is_parsed_or_ignored(record: object) -> None:
    with quickly():
        server = _listed(record)
        _next_marker({"page_info": {"next_marker": json.dumps(record)}})
        _next_marker({"page_info": record})
    assert server is None or server.id
