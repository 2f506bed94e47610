"""Call the API of one CloudDC project: rate-limited, authenticated and observed."""

from collections.abc import AsyncIterator, Callable
from http.cookiejar import CookieJar
from urllib.parse import quote

import httpx

from exporter.cloud.auth.login import SendRequest
from exporter.cloud.observer import RequestObserver
from exporter.cloud.reachability import Reachability
from exporter.cloud.server_list import (
    PAGE_LIMIT,
    PAGE_LIMIT_LEAST,
    ListedServer,
    ServerListPage,
    page_of,
)
from exporter.http.deadline import Deadline
from exporter.http.errors import BadResponseError
from exporter.ratelimit.transport import URGENT

SERVERS_MAX = 100_000
"""Maximum number of servers in a project's list."""
CONSOLE_MAX_BYTES = 1 << 20
_TOKEN_MAX_BYTES = 1 << 20
# A page has up to 1000 servers of a few kB each.
_LIST_MAX_BYTES = 8 << 20
_LIST_MAX_PAGES = 1000
_HEADERS = httpx.Headers({"content-type": "application/json"})
_NO_BODY = httpx.ByteStream(b"")
_OK = 200
_URLS_MAX = 100_000


class _NoCookies(CookieJar):
    """Reads no cookies: the API has none, and Python's parser fails on odd ones."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Ignore the cookies of a response."""


class CloudClient:
    """Client of one CloudDC project's API at ``endpoint``.

    ``transport`` takes the permits and reports the requests, ``login`` authenticates them.
    ``reachability`` learns from every response.
    """

    def __init__(  # noqa: PLR0913 - what a project's requests need
        self,
        *,
        endpoint: str,
        project_id: str,
        transport: httpx.AsyncBaseTransport,
        login: httpx.Auth,
        observer: RequestObserver,
        reachability: Reachability,
    ) -> None:
        self._observer = observer
        self._reachability = reachability
        self._servers_url = f"{endpoint}/v1/{quote(project_id, safe='')}/physicalservers"
        self._transport = transport
        self._login = login
        self._http = httpx.AsyncClient(
            transport=transport,
            auth=login,
            cookies=_NoCookies(),
            trust_env=False,
        )
        # Cached: parsing a URL takes a twentieth of a probe's CPU time.
        self._console_urls: dict[str, httpx.URL] = {}

    async def remote_console(
        self,
        server_id: str,
        deadline: Deadline,
        *,
        due: float = URGENT,
        on_permit: Callable[[], None] | None = None,
    ) -> httpx.Response:
        """Request a server's console address; return the response, whatever its status.

        ``due`` (monotonic seconds) is the request's place in the queue for permits; ``on_permit``
        is called when the permit is granted. Raises `httpx.RequestError`.
        """

        def permitted(waited: float) -> None:
            self._observer.waited(waited)
            if on_permit is not None:
                on_permit()

        url = self._console_urls.get(server_id)
        if url is None:
            url = httpx.URL(
                f"{self._servers_url}/{quote(server_id, safe='')}/remote-console-address"
            )
            if len(self._console_urls) >= _URLS_MAX:
                self._console_urls.clear()
            self._console_urls[server_id] = url
        request = httpx.Request(
            "GET",
            url,
            headers=_HEADERS,
            # Saves httpx the work to find out that there is no body.
            stream=_NO_BODY,
            extensions={
                "operation": "remote_console",
                "server_id": server_id,
                "deadline": deadline,
                "max_bytes": CONSOLE_MAX_BYTES,
                "due": due,
                "on_permit": permitted,
            },
        )
        response = await self._drive(request)
        self._reachability.observe(response)
        return response

    async def answers_since(self, began: float, *, timeout: float) -> bool:  # noqa: ASYNC109
        """Return whether the API answers requests, as evidence since ``began`` (monotonic seconds).

        If there is none yet, the API is asked for its shortest list, within ``timeout`` seconds.
        Raises nothing but cancellation.
        """

        async def ask() -> None:
            # A kept connection may be dead.
            await self._page({"limit": str(PAGE_LIMIT_LEAST)}, timeout, fresh=True)

        return await self._reachability.confirm(began, ask)

    async def server_pages(
        self,
        *,
        manage_state: str | None,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[list[ListedServer]]:
        """List all servers of the project, page by page, ``timeout`` seconds per page.

        The next marker may be an ID or a URL. A list without markers continues after the last ID
        of each page, because pages may be shorter than requested, until a page is empty or
        repeats that record. A repeated marker ends the list. Raises `httpx.RequestError`, also if
        a page is invalid or the list has no end.
        """
        found: set[str] = set()
        markers: set[str] = set()
        marker, has_markers = "", False
        for _ in range(_LIST_MAX_PAGES):
            query = {"limit": str(PAGE_LIMIT)}
            if manage_state:
                query["manage_state"] = manage_state
            if marker:
                query["marker"] = marker
            page = await self._page(query, timeout)
            known = len(found)
            found.update(server.id for server in page.servers)
            if len(found) > SERVERS_MAX:
                raise BadResponseError(
                    f"the server list has over {SERVERS_MAX} servers, the maximum: "
                    "list the servers in a file instead",
                    _OK,
                )
            yield page.servers
            has_markers = has_markers or page.next_marker is not None
            is_new = len(found) > known
            goes_on = page.is_full or not has_markers
            marker = page.next_marker or (page.last_id if goes_on else "")
            if not marker:
                return
            if marker in markers and (has_markers or is_new or len(page.servers) == 1):
                return
            if not is_new:
                raise BadResponseError(
                    "the server list repeats itself: a page had no new servers and did not end "
                    "the list; report this to the cloud's support",
                    _OK,
                )
            markers.add(marker)
        raise BadResponseError(
            f"the server list has over {_LIST_MAX_PAGES} pages, the maximum: "
            "list the servers in a file instead",
            _OK,
        )

    async def _page(
        self,
        query: dict[str, str],
        timeout: float,  # noqa: ASYNC109
        **extensions: object,
    ) -> ServerListPage:
        """Request one page of the server list; raises `httpx.RequestError`, also if invalid."""
        request = httpx.Request(
            "GET",
            httpx.URL(self._servers_url, params=query),
            headers=_HEADERS,
            extensions={
                "operation": "list_servers",
                "deadline": Deadline(timeout),
                "max_bytes": _LIST_MAX_BYTES,
                **extensions,
            },
        )
        response = await self._http.send(request)
        if response.status_code != _OK:
            self._reachability.observe(response)
        page = await page_of(response)
        self._reachability.answered()
        return page

    async def _drive(self, request: httpx.Request) -> httpx.Response:
        """Send as `httpx.AsyncClient.send` does, at half the CPU time of a probe.

        The difference is what a probe does not use: cookies, redirects and event hooks.
        """
        flow = self._login.async_auth_flow(request)
        try:
            request = await anext(flow)
            while True:
                response = await self._transport.handle_async_request(request)
                try:
                    request = await flow.asend(response)
                except StopAsyncIteration:
                    return response
        finally:
            await flow.aclose()


def login_sender(transport: httpx.AsyncBaseTransport, timeout: float) -> SendRequest:
    """Return what sends login requests before all others, each within ``timeout`` seconds.

    They are counted as operation ``create_token``.
    """

    async def send(request: httpx.Request) -> httpx.Response:
        request.extensions.update(
            operation="create_token", deadline=Deadline(timeout), max_bytes=_TOKEN_MAX_BYTES
        )
        return await transport.handle_async_request(request)

    return send
