"""Cookies that a console's page sets, sent with its redirects and its WebSocket."""

import re
from collections.abc import Iterable, Iterator

import httpx

_COOKIES_MAX = 50
# RFC 6265, 6.1: browsers support at least this length.
_LENGTH_MAX = 4096
_PAIR = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=[ -~]*")
# Attributes with an unambiguous syntax. Cookies live as long as a probe, so dates are not needed.
_ATTRIBUTE = re.compile(
    r"path=/[ -~]*|domain=[a-z0-9.-]+|secure|max-age=-?[0-9]{1,9}", re.IGNORECASE
)


class Cookies:
    """The cookies of one probe; the standard library's jar decides which URL gets which.

    The jar gets well-formed ASCII cookies only: malformed ones make it log warnings that quote
    them, and other characters cannot be sent.
    """

    def __init__(self) -> None:
        self._jar = httpx.Cookies()

    def take(self, set_cookie: Iterable[str], url: httpx.URL) -> None:
        """Store the well-formed cookies in a response's ``Set-Cookie`` headers."""
        headers = [("set-cookie", cookie) for cookie in _well_formed(set_cookie)]
        if headers and len(self._jar.jar) < _COOKIES_MAX:
            request = httpx.Request("GET", url)
            self._jar.extract_cookies(httpx.Response(200, headers=headers, request=request))

    def header(self, url: httpx.URL) -> str:
        """Return the ``Cookie`` header to send to ``url``, empty if there is nothing to send."""
        request = httpx.Request("GET", url)
        self._jar.set_cookie_header(request)
        return str(request.headers.get("cookie", ""))


def _well_formed(set_cookie: Iterable[str]) -> Iterator[str]:
    for _, header in zip(range(_COOKIES_MAX), set_cookie, strict=False):
        if len(header) > _LENGTH_MAX:
            continue
        pair, *attributes = (part.strip() for part in header.split(";"))
        if _PAIR.fullmatch(pair):
            yield "; ".join([pair, *filter(_ATTRIBUTE.fullmatch, attributes)])
