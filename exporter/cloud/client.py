"""The client of one CloudDC project: each request waits its turn, is signed, sent and counted."""

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
"""The due time of what others wait for: log-ins, and repeats with a fresh token."""

SERVERS_MAX = 100_000
"""How many servers a project's list may have."""
CONSOLE_MAX_BYTES = 1 << 20
_TOKEN_MAX_BYTES = 1 << 20
# A thousand servers a page, a few kB each.
_LIST_MAX_BYTES = 8 << 20
_LIST_MAX_PAGES = 1000
_HEADERS = CIMultiDict({"content-type": "application/json", "user-agent": USER_AGENT})
_UNAUTHORIZED = 401
_THROTTLED = 429
# Only who has been let in is answered so; a 429 or a 5xx may come from before the door.
_PROVING = frozenset({200, 400, 403, 404})
_OK = 200
_URLS_MAX = 100_000


class Sender(Protocol):
    """The transport, as the client sees it."""

    async def send(self, request: Request, *, timeout: float, max_bytes: int) -> Response:  # noqa: ASYNC109
        """Send a request; raises `NoResponseError` or `BadResponseError`."""


class PacedSender:
    """Sends the requests of one project, each in its turn, and tells what became of them."""

    def __init__(self, transport: Sender, throttle: Throttle, observer: RequestObserver) -> None:
        """Stand between a project's client and the wire."""
        self._transport = transport
        self._throttle = throttle
        self._observer = observer

    async def permit(self, due: float) -> Permit:
        """Wait for a turn; who is due first goes first."""
        return await self._throttle.permit(due)

    async def probe_permit(self, due: float) -> Permit:
        """Wait for a turn to probe; this wait is counted, for it delays a verdict."""
        permit = await self._throttle.permit(due)
        self._observer.waited(permit.waited)
        return permit

    def unused(self, permit: Permit) -> None:
        """Give a turn back that led to no request."""
        self._throttle.answered(permit, None, None)

    async def send(  # noqa: PLR0913 - a request, told whole
        self,
        operation: str,
        request: Request,
        permit: Permit,
        deadline: Deadline,
        *,
        max_bytes: int,
        server_id: str = "",
    ) -> Response:
        """Send a request in its turn; raises `NoResponseError` or `BadResponseError`."""
        self._observer.request_started(operation)
        response: Response | None = None
        status: int | None = None
        given_up = False
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
            # The target was removed, or the program ends: the cloud has failed nobody.
            given_up = True
            raise
        finally:
            # The transport's own figure leaves out what our loop did after the last byte.
            seconds = response.seconds if response else perf_counter() - started
            deadline.spent += seconds
            self._throttle.answered(permit, status, response)
            if status == _THROTTLED:
                self._observer.throttled()
            refused = response is not None and response.status >= 400  # noqa: PLR2004 - HTTP errors
            if given_up:
                self._observer.request_given_up()
            else:
                self._observer.request_finished(
                    operation,
                    status,
                    seconds,
                    error_code=ApiError.of(response).code if response and refused else "",
                    server_id=server_id,
                    request_id=request_id_of(response) if response else "",
                )
        return response


class LoginSender:
    """The way of log-in requests: before all others, counted as ``create_token``."""

    def __init__(self, sender: PacedSender, timeout: float) -> None:
        """Give each log-in request ``timeout`` seconds."""
        self._sender = sender
        self._timeout = timeout

    async def __call__(self, request: Request) -> Response:
        """Send one log-in request; raises `NoResponseError` or `BadResponseError`."""
        permit = await self._sender.permit(URGENT)
        return await self._sender.send(
            "create_token", request, permit, Deadline(self._timeout), max_bytes=_TOKEN_MAX_BYTES
        )


class CloudClient:
    """Asks one CloudDC project's API."""

    def __init__(
        self, *, endpoint: str, project_id: str, sender: PacedSender, login: Login
    ) -> None:
        """Ask ``endpoint`` about ``project_id``."""
        self._servers_url = f"{endpoint}/v1/{quote(project_id, safe='')}/physicalservers"
        self._sender = sender
        self._login = login
        # Reading a URL costs a twentieth of a probe.
        self._console_urls: dict[str, URL] = {}

    async def permit(self, due: float) -> Permit:
        """Wait for this project's next turn to probe."""
        return await self._sender.probe_permit(due)

    async def remote_console(self, server_id: str, permit: Permit, deadline: Deadline) -> Response:
        """Ask for a server's console address; return the answer, whatever its status.

        A 401 is asked once more when fresh credentials can be had. Raises `RequestError`.
        """
        url = self._console_urls.get(server_id)
        if url is None:
            url = wire_url(
                f"{self._servers_url}/{quote(server_id, safe='')}/remote-console-address"
            )
            if len(self._console_urls) >= _URLS_MAX:
                self._console_urls.clear()
            self._console_urls[server_id] = url
        return await self._ask(
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
        """List all servers of the project, page by page, ``timeout`` seconds a page.

        The next marker may come as an id or as a URL; without one the last id serves. A marker
        that comes again ends the list. Raises `RequestError`, also when a page is no list, and when
        there is no end to the list.
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
            response = await self._ask(
                "list_servers", url, permit, Deadline(timeout), max_bytes=_LIST_MAX_BYTES
            )
            page = await page_of(response)
            known = len(found)
            found.update(server.id for server in page.servers)
            if len(found) > SERVERS_MAX:
                raise BadResponseError(f"the list has over {SERVERS_MAX} servers", response.status)
            yield page.servers
            marker = page.next_marker
            if not marker or marker in markers:
                return
            if len(found) == known:
                raise BadResponseError("the list of servers repeats itself", response.status)
            markers.add(marker)
        raise BadResponseError(f"the list of servers has over {_LIST_MAX_PAGES} pages", _OK)

    async def _ask(  # noqa: PLR0913 - passes on what a request is made of
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
        if response.status in _PROVING:
            self._login.accepted(request)
        return response

    async def _authorized(self, url: URL, permit: Permit) -> Request:
        request = Request("GET", url, CIMultiDict(_HEADERS))
        try:
            await self._login.authorize(request)
        except RequestError:
            self._sender.unused(permit)
            raise
        return request
