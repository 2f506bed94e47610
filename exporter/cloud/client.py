"""Call the API of one CloudDC project: rate-limited, authenticated and observed."""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Protocol
from urllib.parse import quote

import httpx
from multidict import CIMultiDict
from yarl import URL

from exporter.cloud.api_error import ApiError, request_id_of
from exporter.cloud.auth.login import Login
from exporter.cloud.observer import RequestObserver
from exporter.cloud.server_list import PAGE_LIMIT, ListedServer, page_of
from exporter.http.deadline import Deadline
from exporter.http.errors import BadResponseError, NoResponseError, RequestError
from exporter.http.request import Request, wire_url
from exporter.http.response import Response
from exporter.http.transport import USER_AGENT
from exporter.ratelimit.throttle import Permit, Throttle

URGENT = float("-inf")
"""Due time of requests that go first: logins, lists, and repeats after a 401."""

SERVERS_MAX = 100_000
"""Maximum number of servers in a project's list."""
CONSOLE_MAX_BYTES = 1 << 20
_TOKEN_MAX_BYTES = 1 << 20
# A page has up to 1000 servers of a few kB each.
_LIST_MAX_BYTES = 8 << 20
_LIST_MAX_PAGES = 1000
_HEADERS = CIMultiDict({"content-type": "application/json", "user-agent": USER_AGENT})
_UNAUTHORIZED = 401
_THROTTLED = 429
# These statuses prove that the credentials were accepted. A 429 or 5xx may come before that check.
_ACCEPTED = frozenset({200, 400, 403, 404})
_OK = 200
_URLS_MAX = 100_000


class Sender(Protocol):
    """The transport as used by the client."""

    async def send(self, request: Request, *, timeout: float, max_bytes: int) -> Response:  # noqa: ASYNC109
        """Send a request; raises `NoResponseError` or `BadResponseError`."""


class RateLimitedSender:
    """Sends the requests of one project within its rate limit, and reports the results."""

    def __init__(self, transport: Sender, throttle: Throttle, observer: RequestObserver) -> None:
        self._transport = transport
        self._throttle = throttle
        self._observer = observer

    async def permit(self, due: float) -> Permit:
        """Wait for a permit; the lowest ``due`` goes first."""
        return await self._throttle.permit(due)

    async def probe_permit(self, due: float) -> Permit:
        """Wait for a permit to probe, and record the waiting time, which delays the result."""
        permit = await self._throttle.permit(due)
        self._observer.waited(permit.waited)
        return permit

    def return_unused(self, permit: Permit) -> None:
        """Return a permit that was not used for a request."""
        self._throttle.answered(permit, None, None)

    async def send(  # noqa: PLR0913 - all parts of a request
        self,
        operation: str,
        request: Request,
        permit: Permit,
        deadline: Deadline,
        *,
        max_bytes: int,
        server_id: str = "",
    ) -> Response:
        """Send a request with a permit; raises `NoResponseError` or `BadResponseError`."""
        self._observer.request_started(operation)
        response: Response | None = None
        status: int | None = None
        cancelled = False
        started = perf_counter()
        try:
            response = await self._transport.send(
                request, timeout=deadline.left, max_bytes=max_bytes
            )
            status = response.status
        except (NoResponseError, BadResponseError) as error:
            status = error.status or None
            raise
        except asyncio.CancelledError:
            # The target was removed or the exporter stops: not a failure of the cloud.
            cancelled = True
            raise
        finally:
            # The transport's own measurement excludes event-loop delays after the last byte.
            seconds = response.seconds if response else perf_counter() - started
            deadline.spent += seconds
            self._throttle.answered(permit, status, response)
            if status == _THROTTLED:
                self._observer.throttled()
            is_error = response is not None and response.status >= 400  # noqa: PLR2004 - HTTP errors
            if cancelled:
                self._observer.request_cancelled()
            else:
                self._observer.request_finished(
                    operation,
                    status,
                    seconds,
                    error_code=ApiError.of(response).code if response and is_error else "",
                    server_id=server_id,
                    request_id=request_id_of(response) if response else "",
                )
        return response


class LoginSender:
    """Sends login requests before all others, counted as operation ``create_token``.

    Each request may take ``timeout`` seconds.
    """

    def __init__(self, sender: RateLimitedSender, timeout: float) -> None:
        self._sender = sender
        self._timeout = timeout

    async def __call__(self, request: Request) -> Response:
        """Send one login request; raises `NoResponseError` or `BadResponseError`."""
        permit = await self._sender.permit(URGENT)
        return await self._sender.send(
            "create_token", request, permit, Deadline(self._timeout), max_bytes=_TOKEN_MAX_BYTES
        )


class CloudClient:
    """Client of one CloudDC project's API at ``endpoint``."""

    def __init__(
        self, *, endpoint: str, project_id: str, sender: RateLimitedSender, login: Login
    ) -> None:
        self._servers_url = f"{endpoint}/v1/{quote(project_id, safe='')}/physicalservers"
        self._sender = sender
        self._login = login
        # Cached: parsing a URL takes a twentieth of a probe's CPU time.
        self._console_urls: dict[str, URL] = {}

    async def permit(self, due: float) -> Permit:
        """Wait for a permit to probe a server of this project."""
        return await self._sender.probe_permit(due)

    async def remote_console(self, server_id: str, permit: Permit, deadline: Deadline) -> Response:
        """Request a server's console address; return the response, whatever its status.

        After a 401 the request is repeated once if new credentials can be obtained. Raises
        `RequestError`.
        """
        url = self._console_urls.get(server_id)
        if url is None:
            url = wire_url(
                f"{self._servers_url}/{quote(server_id, safe='')}/remote-console-address"
            )
            if len(self._console_urls) >= _URLS_MAX:
                self._console_urls.clear()
            self._console_urls[server_id] = url
        return await self._request(
            "remote_console",
            url,
            permit,
            deadline,
            max_bytes=CONSOLE_MAX_BYTES,
            server_id=server_id,
        )

    async def list_servers(self, *, manage_state: str | None, timeout: float) -> list[ListedServer]:  # noqa: ASYNC109
        """List all servers of the project; see `server_pages`."""
        pages = self.server_pages(manage_state=manage_state, timeout=timeout)
        found = {server.id: server async for page in pages for server in page}
        return list(found.values())

    async def server_pages(
        self,
        *,
        manage_state: str | None,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[list[ListedServer]]:
        """List all servers of the project, page by page, ``timeout`` seconds per page.

        The next marker may be an ID or a URL; a full page without one continues after its last ID.
        A repeated marker ends the list. Raises `RequestError`, also if a page is invalid or the
        list has no end.
        """
        found: set[str] = set()
        markers: set[str] = set()
        marker = ""
        for _ in range(_LIST_MAX_PAGES):
            query = {"limit": str(PAGE_LIMIT)}
            if manage_state:
                query["manage_state"] = manage_state
            if marker:
                query["marker"] = marker
            url = wire_url(httpx.URL(self._servers_url, params=query))
            permit = await self._sender.permit(URGENT)
            response = await self._request(
                "list_servers", url, permit, Deadline(timeout), max_bytes=_LIST_MAX_BYTES
            )
            page = await page_of(response)
            known = len(found)
            found.update(server.id for server in page.servers)
            if len(found) > SERVERS_MAX:
                raise BadResponseError(
                    f"the server list has over {SERVERS_MAX} servers, the maximum: "
                    "list the servers in a file instead",
                    response.status,
                )
            yield page.servers
            marker = page.next_marker
            if not marker or marker in markers:
                return
            if len(found) == known:
                raise BadResponseError(
                    "the server list repeats itself: a page had no new servers but another "
                    "next_marker; report this to the cloud's support",
                    response.status,
                )
            markers.add(marker)
        raise BadResponseError(
            f"the server list has over {_LIST_MAX_PAGES} pages, the maximum: "
            "list the servers in a file instead",
            _OK,
        )

    async def _request(  # noqa: PLR0913 - all parts of a request
        self,
        operation: str,
        url: URL,
        permit: Permit,
        deadline: Deadline,
        *,
        max_bytes: int,
        server_id: str = "",
    ) -> Response:
        request = await self._authorized(url, permit)
        response = await self._sender.send(
            operation, request, permit, deadline, max_bytes=max_bytes, server_id=server_id
        )
        if response.status == _UNAUTHORIZED and await self._login.renew(request):
            permit = await self._sender.permit(URGENT)
            deadline.waited += permit.waited
            request = await self._authorized(url, permit)
            response = await self._sender.send(
                operation, request, permit, deadline, max_bytes=max_bytes, server_id=server_id
            )
            if response.status == _UNAUTHORIZED:
                await self._login.renew(request)
        if response.status in _ACCEPTED:
            self._login.accepted(request)
        return response

    async def _authorized(self, url: URL, permit: Permit) -> Request:
        request = Request("GET", url, CIMultiDict(_HEADERS))
        try:
            await self._login.authorize(request)
        except RequestError:
            self._sender.return_unused(permit)
            raise
        return request
