"""Stage ``page``: open the console's page as a browser does, without cloud credentials."""

from dataclasses import dataclass

import httpx

from exporter.http.deadline import Deadline
from exporter.http.errors import BadResponseError, ForbiddenAddressError
from exporter.outcome import Outcome
from exporter.probe.address import AddressError, ConsoleAddress
from exporter.probe.allowed_hosts import AllowedHosts
from exporter.probe.cookies import Cookies
from exporter.probe.stage import StageFailedError

_REDIRECTS_MAX = 3
_PAGE_MAX_BYTES = 4 << 20
_OK, _TOO_MANY = 200, 429
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """An opened page: its address after redirects, and the cookies set on the way."""

    address: ConsoleAddress
    cookies: Cookies


async def open_page(
    address: ConsoleAddress,
    transport: httpx.AsyncBaseTransport,
    allowed: AllowedHosts,
    deadline: Deadline,
) -> Page:
    """Open the page and follow up to three redirects.

    Raises `StageFailedError` when the response is not HTML with status 200, `NoResponseError`
    when there is no complete response.
    """
    # A gateway may require a cookie of its page for the WebSocket.
    cookies = Cookies()
    for _ in range(_REDIRECTS_MAX + 1):
        response = await _get(address, cookies, transport, deadline)
        if not response.has_redirect_location:
            _check_html(response)
            return Page(address, cookies)
        address = _redirected(address, response.headers["location"], allowed)
    raise _page_error(f"more than {_REDIRECTS_MAX} redirects")


async def _get(
    address: ConsoleAddress,
    cookies: Cookies,
    transport: httpx.AsyncBaseTransport,
    deadline: Deadline,
) -> httpx.Response:
    request = httpx.Request(
        "GET",
        address.url,
        headers={"accept": "text/html,application/xhtml+xml;q=0.9"},
        extensions={"deadline": deadline, "max_bytes": _PAGE_MAX_BYTES},
    )
    if cookie := cookies.header(address.url):
        request.headers["cookie"] = cookie
    try:
        response = await transport.handle_async_request(request)
    except BadResponseError as error:
        raise _page_error(str(error)) from None
    cookies.take(response.headers.get_list("set-cookie"), address.url)
    return response


def _redirected(address: ConsoleAddress, location: str, allowed: AllowedHosts) -> ConsoleAddress:
    try:
        found = address.follow(location)
        allowed.check(found.scheme, found.host, found.port)
    except AddressError as error:
        raise _page_error(f"redirects to an address that {error}") from None
    except ForbiddenAddressError as error:
        raise _page_error(f"redirects to a forbidden address: {error}") from None
    return found


def _check_html(response: httpx.Response) -> None:
    if response.status_code == _TOO_MANY:
        # A 429 does not show whether the console works.
        raise StageFailedError(Outcome.THROTTLED, "the console page answered 429")
    if response.status_code != _OK:
        raise _page_error(f"answered {response.status_code}")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Without a content type, browsers inspect the body.
    if media_type and media_type not in _HTML:
        raise _page_error("answered 200, but its content type is not HTML")
    if not response.content.removeprefix(_BOM).lstrip().startswith(b"<"):
        raise _page_error("answered 200, but its body is not HTML")


def _page_error(problem: str) -> StageFailedError:
    return StageFailedError(Outcome.PAGE_ERROR, f"the console page: {problem}")
