"""What reads the outside is never broken by it, and never long about it: thousands of inputs."""

import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from exporter.cloud.api_error import ApiError
from exporter.cloud.auth.expiring_credentials import expiring_credentials
from exporter.cloud.errors import LoginFailedError
from exporter.cloud.server_list import _listed, _next_marker
from exporter.config.host_pattern import HostPattern, host_of
from exporter.http.errors import ForbiddenAddressError
from exporter.http.request import wire_url
from exporter.http.response import Response
from exporter.probe.address import AddressError, ConsoleAddress
from exporter.probe.allowed_hosts import AllowedHosts
from exporter.probe.api import console_address
from exporter.probe.cookies import Cookies
from exporter.probe.stage import StageFailedError
from exporter.ratelimit.retry_after import RETRY_AFTER_MAX, RETRY_AFTER_MIN, RateLimitResponse
from tests.hostile import wire
from tests.hostile.effort import effort

NOW = 1_800_000_000.0
# Of the thread's own time: a machine under test is busy.
QUICKLY = 0.05


@contextmanager
def quickly() -> Iterator[None]:
    """Fail when the block computes for longer than the event loop may be held."""
    # What the tests gather is not the exporter's to go through.
    gc.disable()
    started = time.thread_time()
    try:
        yield
        assert time.thread_time() - started < QUICKLY
    finally:
        gc.enable()


def answer(status: int, body: bytes, fields: list[tuple[str, str]] | None = None) -> Response:
    # As aiohttp gives them: bytes beyond UTF-8 are surrogates.
    told = [
        (name, value.encode(errors="surrogatepass").decode(errors="surrogateescape"))
        for name, value in fields or []
    ]
    return Response(status, CIMultiDictProxy(CIMultiDict(told)), body, 0.1)


@effort(400)
@given(st.integers(0, 999), wire.bodies, wire.headers)
def test_any_error_is_read(status: int, body: bytes, fields: list[tuple[str, str]]) -> None:
    with quickly():
        error = ApiError.of(answer(status, body, fields))
    assert len(error.code) <= 41
    assert error.code.isascii()
    assert len(error.request_id) <= 128
    assert error.request_id.isascii()
    assert len(error.message) <= 500


@effort(400)
@given(wire.bodies, wire.headers)
def test_any_refusal_is_read(body: bytes, fields: list[tuple[str, str]]) -> None:
    with quickly():
        said = RateLimitResponse.of(answer(429, body, fields), NOW)
    assert said.retry_after is None or RETRY_AFTER_MIN <= said.retry_after <= RETRY_AFTER_MAX
    assert said.policy is None or said.policy.rate > 0


@effort(400)
@given(wire.dates | st.text(max_size=40) | st.integers() | st.none(), wire.dates)
def test_any_lifetime_is_read_or_refused(ends: object, date: str) -> None:
    with quickly():
        try:
            leased = expiring_credentials("t", ends, answer(201, b"", [("Date", date)]), NOW)
        except LoginFailedError:
            return
    assert 0 < leased.lifetime < 10_000 * 366 * 86_400


@effort(400)
@given(wire.bodies)
def test_any_console_address_is_read_or_refused(body: bytes) -> None:
    with quickly():
        try:
            shown = repr(console_address(answer(200, body), ApiError()))
        except StageFailedError as failure:
            shown = str(failure)
    assert f"token={wire.CANARY}" not in shown


ALLOWED = AllowedHosts(
    tuple(map(HostPattern.parse, ("*.huaweicloud.com", "127.0.0.1", "fd00::/8")))
)


PLAIN_URLS = st.from_regex(
    r"https?://[a-z0-9.-]{1,12}(:[0-9]{1,5})?(/[A-Za-z0-9._~-]{0,4}){1,3}(\?[a-z0-9._~=&-]{0,9})?",
    fullmatch=True,
)


@effort(600)
@given(wire.urls | PLAIN_URLS, wire.urls | st.text(max_size=30))
@example("hTtps://[fd00::2]:443/vnc//[v", "")
@example("https://127.0.0.1:0/", "")
@example("http://console.example./a/../b", "")
def test_an_address_is_the_same_to_what_checks_it_and_to_what_connects(
    text: str, location: str
) -> None:
    with quickly():
        try:
            found = ConsoleAddress.parse(text)
        except AddressError:
            return
        with suppress(ForbiddenAddressError):
            ALLOWED.check(found.scheme, found.host, found.port)
        connected = wire_url(found.url)
        assert connected.scheme == found.scheme
        assert host_of(connected.raw_host or "") == found.host
        assert connected.port == found.port
        try:
            followed = found.follow(location)
            followed.at(found.query("path") or "websockify", found.query("token"))
        except AddressError:
            return
        # Paths may be shown; queries hold the token.
        assert "?" not in repr(followed)


@effort(400)
@given(st.text(max_size=40))
@example("0.0.0.0/0")
@example("[::ffff:1.2.3.4]:80")
@example("*.xn--a")
def test_any_host_pattern_is_read_or_refused(text: str) -> None:
    with quickly():
        try:
            HostPattern.parse(text).covers("a.example.com", 443)
        except ValueError as refusal:
            said = type(refusal)
        else:
            said = ValueError
    assert said is ValueError


@effort(400)
@given(wire.headers)
@example([("Set-Cookie", "a Patdomain\xff\xff=b")])
@example([("Set-Cookie", "a=b;max-age; Expn i0")])
@example([("Set-Cookie", "a=b;version")])
@example([("Set-Cookie", 'a=a; Expires=Wed, 04 Jwn 2027 10:18:14 GMT; Max"; Se"')])
def test_any_cookie_is_kept_or_left_and_can_be_sent(fields: list[tuple[str, str]]) -> None:
    cookies, url = Cookies(), httpx.URL("https://h.example/a/b")
    with quickly():
        cookies.take((value for name, value in fields if name == "Set-Cookie"), url)
        header = cookies.header(url)
    assert header.isascii()
    assert not header or header.isprintable()


@effort(300)
@given(wire.values)
def test_any_record_of_a_list_is_read_or_left(record: object) -> None:
    with quickly():
        server = _listed(record)
        _next_marker({"page_info": {"next_marker": json.dumps(record)}})
        _next_marker({"page_info": record})
    assert server is None or server.id
