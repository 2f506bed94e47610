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

from aiohttp import web

from exporter.simulator.clock import Clock
from exporter.simulator.project_state import ProjectState
from exporter.simulator.replies import HTML, Reply, error_page
from exporter.simulator.request_log import NO_STATUS, LoggedRequest, RequestLog, to_response
from exporter.simulator.rfb import ViewerSession
from exporter.simulator.scenario import Operation, WebSocketPath
from exporter.simulator.wire_faults import drop

_SUBPROTOCOL = "binary"
_CLOSE_SECONDS = 5.0
_MESSAGE_MAX_BYTES = 64 * 1024
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

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the gateway."""
        return [
            web.get("/vnc/{host}/vnc_auto.html", self.page),
            web.get("/vnc/{host}/websockify", self.websocket),
            web.get("/websockify", self.websocket),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Return the page of a console."""
        entry = self._request_log.begin(request, Operation.CONSOLE_PAGE)
        return await self._request_log.count(entry, self._page_response(entry))

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Connect a viewer to a server's console until one of them closes the connection."""
        entry = self._request_log.begin(request, Operation.CONSOLE_WEBSOCKET)
        response = await self._request_log.count(entry, self._upgrade(entry))
        if isinstance(response, web.WebSocketResponse):
            await self._view(entry, response)
        return response

    async def _page_response(self, entry: LoggedRequest) -> web.StreamResponse | None:
        host = entry.request.match_info["host"]
        for state in self._projects.values():
            server = state.server_at(host)
            if server is not None:
                entry.project, entry.server_id = state.project.name, server.id
                return await self._request_log.with_faults(entry, state, lambda: _page(host))
        return to_response(error_page(404), self._request_log.headers(entry))

    async def _upgrade(self, entry: LoggedRequest) -> web.StreamResponse | None:
        """Return the open WebSocket or an error response; None if the connection was closed."""
        request = entry.request
        token = request.query.get("token") or request.cookies.get("token", "")
        state = self._find_state(entry, token)
        if state is not None and not _serves(state, request):
            return to_response(error_page(404), self._request_log.headers(entry))
        if state is None or not entry.server_id:
            drop(request)
            return None
        fault = await self._request_log.delay(entry, state)
        if fault is not None:
            return await self._request_log.faulty_response(entry, fault, Reply(200))
        return await self._accept(entry, state, token)

    async def _accept(
        self, entry: LoggedRequest, state: ProjectState, token: str
    ) -> web.StreamResponse | None:
        request, headers = entry.request, self._request_log.headers(entry)
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS,
            protocols=(_SUBPROTOCOL,),
            compress=False,
            max_msg_size=_MESSAGE_MAX_BYTES,
        )
        if not _accepts_binary(request) or not socket.can_prepare(request):
            return to_response(error_page(400), headers)
        if state.project.console.single_use and not state.console_tokens.spend(token):
            drop(request)
            return None
        socket.headers.update(headers)
        await socket.prepare(request)
        return socket

    def _find_state(self, entry: LoggedRequest, token: str) -> ProjectState | None:
        """Find the project by token, else by host, and the server by token only."""
        host = entry.request.match_info.get("host")
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

    async def _view(self, entry: LoggedRequest, socket: web.WebSocketResponse) -> None:
        """Run a viewer's session, and count it with the close code as its status."""
        state = self._projects[entry.project]
        entry.operation = Operation.CONSOLE_RFB
        viewed = entry.project, entry.server_id
        viewers_max = state.project.console.viewers
        session = ViewerSession(socket, entry.request, self._clock)
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


def _page(host: str) -> Reply:
    cookie = f"session={secrets.token_hex(16)}; Path=/; HttpOnly"
    body = _PAGE.format(host=escape(host)).encode()
    return Reply(200, body, HTML, {"Set-Cookie": cookie})


def _serves(state: ProjectState, request: web.Request) -> bool:
    path = state.project.console.websocket
    requested = WebSocketPath.RELATIVE if "host" in request.match_info else WebSocketPath.ROOT
    return path in {WebSocketPath.ANY, requested}


def _accepts_binary(request: web.Request) -> bool:
    """Return whether the client offers ``binary`` or no subprotocol."""
    offered = request.headers.get("Sec-WebSocket-Protocol")
    return offered is None or _SUBPROTOCOL in {name.strip() for name in offered.split(",")}
