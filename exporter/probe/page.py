"""Stage ``page``: open the console's page as a browser would, without any cloud credentials."""

from dataclasses import dataclass

import aiohttp
import httpx
from yarl import URL

from exporter.cloud.answer import Answer
from exporter.cloud.budget import Budget
from exporter.cloud.errors import BadAnswerError, ForbiddenAddressError
from exporter.cloud.transport import Transport
from exporter.outcome import Outcome
from exporter.probe.address import AddressError, ConsoleAddress
from exporter.probe.allowed_hosts import AllowedHosts
from exporter.probe.stage import StageFailedError

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX = 3
_PAGE_MAX_BYTES = 1 << 20
_OK = 200
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """The page that was opened, after redirects; ``cookies`` is what the way there has set."""

    address: ConsoleAddress
    cookies: aiohttp.CookieJar


async def open_page(
    address: ConsoleAddress, transport: Transport, allowed: AllowedHosts, budget: Budget
) -> Page:
    """Open the page; raises `StageFailedError` when it is not 200 HTML, `NoAnswerError`."""
    # A gateway may tie the WebSocket to a cookie of its page. Addresses may be bare IPs.
    cookies = aiohttp.CookieJar(unsafe=True)
    for _ in range(_REDIRECTS_MAX + 1):
        answer = await _get(address, cookies, transport, budget)
        location = answer.headers.get("location")
        if answer.status not in _REDIRECTS or location is None:
            _judge(answer)
            return Page(address, cookies)
        address = _redirected(address, location, allowed)
    raise _page_error(f"more than {_REDIRECTS_MAX} redirects")


async def _get(
    address: ConsoleAddress, cookies: aiohttp.CookieJar, transport: Transport, budget: Budget
) -> Answer:
    request = httpx.Request(
        "GET",
        address.url,
        headers={
            "accept": "text/html,application/xhtml+xml;q=0.9",
            "user-agent": "console-exporter",
            **cookie_header(cookies, address),
        },
    )
    try:
        with budget.spending():
            answer = await transport.send(request, timeout=budget.left, max_bytes=_PAGE_MAX_BYTES)
    except BadAnswerError as error:
        raise _page_error(str(error)) from None
    cookies.update_cookies_from_headers(
        answer.headers.get_list("set-cookie"), URL(str(address.url), encoded=True)
    )
    return answer


def cookie_header(cookies: aiohttp.CookieJar, address: ConsoleAddress) -> dict[str, str]:
    """Return the header with the cookies that are for ``address``; empty if there are none."""
    kept = cookies.filter_cookies(URL(str(address.url), encoded=True))
    if not kept:
        return {}
    return {"cookie": "; ".join(f"{name}={one.coded_value}" for name, one in kept.items())}


def _redirected(address: ConsoleAddress, location: str, allowed: AllowedHosts) -> ConsoleAddress:
    try:
        found = address.follow(location)
        allowed.check(found.url.scheme, found.host, found.port)
    except AddressError as error:
        raise _page_error(f"it redirects to what {error}") from None
    except ForbiddenAddressError as error:
        raise _page_error(f"it redirects, and {error}") from None
    return found


def _judge(answer: Answer) -> None:
    if answer.status != _OK:
        raise _page_error(f"it answered {answer.status}")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _HTML:
        raise _page_error("it answered 200, but no HTML by its content type")
    if not answer.body.removeprefix(_BOM).lstrip().startswith(b"<"):
        raise _page_error("it answered 200 and called it HTML, but it is none")


def _page_error(what: str) -> StageFailedError:
    return StageFailedError(Outcome.PAGE_ERROR, f"the console page: {what}")
