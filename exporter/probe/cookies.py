"""The cookies that a console's page sets, for its redirects and its WebSocket."""

import re
from collections.abc import Iterable, Iterator

import httpx

_COOKIES_MAX = 50
# RFC 6265, 6.1: what browsers take at least.
_LENGTH_MAX = 4096
_PAIR = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=[ -~]*")
# Those that can be read without surprises. What lives for the length of a probe needs no others,
# least of all dates.
_ATTRIBUTE = re.compile(
    r"path=/[ -~]*|domain=[a-z0-9.-]+|secure|max-age=-?[0-9]{1,9}", re.IGNORECASE
)


class Cookies:
    """What one probe was given; the standard library's jar says what goes where.

    It is shown only cookies in a plain form: odd ones make it warn of bugs, text and all, and
    values beyond ASCII cannot be sent.
    """

    def __init__(self) -> None:
        """Start without any."""
        self._jar = httpx.Cookies()

    def take(self, set_cookie: Iterable[str], url: httpx.URL) -> None:
        """Keep what an answer from ``url`` says in its ``Set-Cookie`` headers, as far as plain."""
        headers = [("set-cookie", cookie) for cookie in _plain(set_cookie)]
        if headers and len(self._jar.jar) < _COOKIES_MAX:
            asked = httpx.Request("GET", url)
            self._jar.extract_cookies(httpx.Response(200, headers=headers, request=asked))

    def header(self, url: httpx.URL) -> str:
        """Return the ``Cookie`` header to send to ``url``, empty if there is nothing to send."""
        asking = httpx.Request("GET", url)
        self._jar.set_cookie_header(asking)
        return str(asking.headers.get("cookie", ""))


def _plain(set_cookie: Iterable[str]) -> Iterator[str]:
    for _, header in zip(range(_COOKIES_MAX), set_cookie, strict=False):
        if len(header) > _LENGTH_MAX:
            continue
        pair, *attributes = (part.strip() for part in header.split(";"))
        if _PAIR.fullmatch(pair):
            yield "; ".join([pair, *filter(_ATTRIBUTE.fullmatch, attributes)])
