"""Serve console pages and their WebSockets, as the consoles' gateway does.

An address has the form ``/vnc/{name}.{region}/vnc_auto.html?token=…``. As with noVNC, the page is
served for any token. The WebSocket is at ``websockify``, relative to the page or at the root, and
needs the token in the query or in the cookie ``token``. Without a valid token the connection is
closed without a response, as websockify does. If the path contains a host, the token must be for
the server with that host.
"""

import secrets
from collections import Counter
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import NoReturn

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from exporter.clock import Clock
from exporter.simulator.project_state import ProjectState
from exporter.simulator.replies import HTML, Reply, error_page
from exporter.simulator.request_log import NO_STATUS, LoggedRequest, RequestLog, to_response
from exporter.simulator.rfb import ViewerSession
from exporter.simulator.scenario import Operation, WebSocketPath

_SUBPROTOCOL = "binary"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{host} - noVNC</title>
</head>
<body>
<div id="status" role="status">Connecting to {host}</div>
<div id="screen"></div>
<noscript>A console needs JavaScript.</noscript>
</body>
</html>
"""


class ConsoleGateway:
    """HTTP handlers of the consoles of all projects; ``projects`` maps names to states."""

    def __init__(
        self, projects: Mapping[str, ProjectState], request_log: RequestLog, clock: Clock
    ) -> None:
        self._projects = projects
        self._request_log = request_log
        self._clock = clock
        self._viewers: Counter[tuple[str, str]] = Counter()

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the gateway."""
        # The name of a server may contain a slash.
        console = "/vnc/{host:path}"
        return [
            Route(f"{console}/vnc_auto.html", self.page),
            *(
                route(path, endpoint)
                for path in (f"{console}/websockify", "/websockify")
                for route, endpoint in (
                    (Route, self.plain_request),
                    (WebSocketRoute, self.websocket),
                )
            ),
        ]

    async def page(self, request: Request) -> Response:
        """Return the page of a console."""
        entry = self._request_log.begin(request, Operation.CONSOLE_PAGE)
        return await self._request_log.count(entry, self._page_response(request, entry))

    async def plain_request(self, request: Request) -> Response:
        """Answer a request to a WebSocket's path that asks for no WebSocket."""
        entry = self._request_log.begin(request, Operation.CONSOLE_WEBSOCKET)
        return await self._request_log.count(entry, self._handshake(request, entry))

    async def websocket(self, socket: WebSocket) -> None:
        """Connect a viewer with a server's console until one side closes."""
        entry = self._request_log.begin(socket, Operation.CONSOLE_WEBSOCKET)
        response = await self._request_log.count(entry, self._handshake(socket, entry))
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            await socket.send_denial_response(response)
            return
        subprotocol = _SUBPROTOCOL if _SUBPROTOCOL in socket.scope["subprotocols"] else None
        await socket.accept(subprotocol, response.raw_headers)
        await self._view(entry, socket)

    async def _page_response(self, request: Request, entry: LoggedRequest) -> Response:
        host = request.path_params["host"]
        for state in self._projects.values():
            server = state.server_at(host)
            if server is not None:
                entry.project, entry.server_id = state.project.name, server.id
                return await self._request_log.with_faults(entry, state, lambda: _page(host))
        return to_response(error_page(404), self._request_log.headers(entry))

    async def _handshake(self, request: HTTPConnection, entry: LoggedRequest) -> Response:
        """Return the response to a handshake: 101 to accept it."""
        token = request.query_params.get("token") or request.cookies.get("token", "")
        state = self._find_state(request, entry, token)
        if state is not None and not _serves(state, request):
            return to_response(error_page(404), self._request_log.headers(entry))
        if state is None or not entry.server_id:
            return await _drop(entry)
        fault = await self._request_log.delay(entry, state)
        if fault is not None:
            return await self._request_log.faulty_response(entry, fault, Reply(200))
        if not _accepts_binary(request):
            return to_response(error_page(400), self._request_log.headers(entry))
        if state.project.console.single_use and not state.console_tokens.spend(token):
            return await _drop(entry)
        return to_response(Reply(101), self._request_log.headers(entry))

    def _find_state(
        self, request: HTTPConnection, entry: LoggedRequest, token: str
    ) -> ProjectState | None:
        """Find the project by token, else by host, and the server by token only."""
        host = request.path_params.get("host")
        for state in self._projects.values():
            server = state.server_of(token, self._request_log.now)
            if server is not None and host in {None, state.console_host(server)}:
                entry.project, entry.server_id = state.project.name, server.id
                return state
        for state in self._projects.values():
            if host is not None and state.server_at(host) is not None:
                entry.project = state.project.name
                return state
        return None

    async def _view(self, entry: LoggedRequest, socket: WebSocket) -> None:
        """Run a viewer's session; its status is the WebSocket's close code."""
        state = self._projects[entry.project]
        entry.operation = Operation.CONSOLE_RFB
        viewed = entry.project, entry.server_id
        viewers_max = state.project.console.viewers
        session = ViewerSession(socket, entry.connection, self._clock)
        self._viewers[viewed] += 1
        try:
            if viewers_max is not None and self._viewers[viewed] > viewers_max:
                await session.reject()
            else:
                await session.run(self._request_log.delay(entry, state))
        finally:
            self._viewers[viewed] -= 1
            if not self._viewers[viewed]:
                del self._viewers[viewed]
            status = str(session.close_code or NO_STATUS)
            self._request_log.counts[entry.project, entry.operation, status] += 1


async def _drop(entry: LoggedRequest) -> NoReturn:
    entry.connection.drop()
    await entry.connection.hang()


def _page(host: str) -> Reply:
    cookie = f"session={secrets.token_hex(16)}; Path=/; HttpOnly"
    body = _PAGE.format(host=escape(host)).encode()
    return Reply(200, body, HTML, {"Set-Cookie": cookie})


def _serves(state: ProjectState, request: HTTPConnection) -> bool:
    path = state.project.console.websocket
    requested = WebSocketPath.RELATIVE if "host" in request.path_params else WebSocketPath.ROOT
    return path in {WebSocketPath.ANY, requested}


def _accepts_binary(request: HTTPConnection) -> bool:
    """Return whether a client asks for a WebSocket with ``binary`` or no subprotocol."""
    if not isinstance(request, WebSocket):
        return False
    offered = request.scope["subprotocols"]
    return not offered or _SUBPROTOCOL in offered
