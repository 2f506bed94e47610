"""The gateway in front of the consoles: the page of each, and the WebSocket behind it.

An address has the form ``/vnc/{name}.{region}/vnc_auto.html?token=…``. The page is there for any
token, as noVNC's is. The WebSocket is at ``websockify``, beside the page or at the root, and wants
the token in the query or in the cookie ``token``; who brings none that is good is hung up on
without an answer, as websockify does. Where a host is in the path, it must be the token's.
"""

import secrets
from collections import Counter
from collections.abc import Mapping
from html import escape

from aiohttp import web

from exporter.simulator.clock import Clock
from exporter.simulator.project_state import ProjectState
from exporter.simulator.replies import HTML, Reply, error_page
from exporter.simulator.request_log import NO_STATUS, LoggedRequest, RequestLog, sent
from exporter.simulator.rfb import Viewing
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
    """Serves the consoles of all projects."""

    def __init__(
        self, projects: Mapping[str, ProjectState], visits: RequestLog, clock: Clock
    ) -> None:
        """Serve the consoles of ``projects``, found by name."""
        self._projects = projects
        self._visits = visits
        self._clock = clock
        self._viewers: Counter[tuple[str, str]] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """Return the addresses that the gateway answers at."""
        return [
            web.get("/vnc/{host}/vnc_auto.html", self.page),
            web.get("/vnc/{host}/websockify", self.websocket),
            web.get("/websockify", self.websocket),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Give the page of a console."""
        logged = self._visits.begin(request, Operation.CONSOLE_PAGE)
        return await self._visits.counted(logged, self._page_answer(logged))

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Connect a viewer with a machine, until one of them has enough."""
        logged = self._visits.begin(request, Operation.CONSOLE_WEBSOCKET)
        answer = await self._visits.counted(logged, self._upgraded(logged))
        if isinstance(answer, web.WebSocketResponse):
            await self._view(logged, answer)
        return answer

    async def _page_answer(self, logged: LoggedRequest) -> web.StreamResponse | None:
        host = logged.request.match_info["host"]
        for place in self._projects.values():
            server = place.server_at(host)
            if server is not None:
                logged.project, logged.server_id = place.project.name, server.id
                return await self._visits.with_faults(logged, place, lambda: _page(host))
        return sent(error_page(404), self._visits.headers(logged))

    async def _upgraded(self, logged: LoggedRequest) -> web.StreamResponse | None:
        """Return the WebSocket, or another answer where it is refused; None for no answer."""
        request = logged.request
        token = request.query.get("token") or request.cookies.get("token", "")
        place = self._place_of(logged, token)
        if place is not None and not _serves(place, request):
            return sent(error_page(404), self._visits.headers(logged))
        if place is None or not logged.server_id:
            drop(request)
            return None
        fault = await self._visits.delayed(logged, place)
        if fault is not None:
            return await self._visits.faulty_response(logged, fault, Reply(200))
        return await self._shake_hands(logged, place, token)

    async def _shake_hands(
        self, logged: LoggedRequest, place: ProjectState, token: str
    ) -> web.StreamResponse | None:
        request, headers = logged.request, self._visits.headers(logged)
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS,
            protocols=(_SUBPROTOCOL,),
            compress=False,
            max_msg_size=_MESSAGE_MAX_BYTES,
        )
        if not _speaks_binary(request) or not socket.can_prepare(request):
            return sent(error_page(400), headers)
        if place.project.console.single_use and not place.console_tokens.spend(token):
            drop(request)
            return None
        socket.headers.update(headers)
        await socket.prepare(request)
        return socket

    def _place_of(self, logged: LoggedRequest, token: str) -> ProjectState | None:
        """Find the project by the token or else by the host, the server by the token alone."""
        host = logged.request.match_info.get("host")
        for place in self._projects.values():
            server = place.server_of(token, self._visits.now)
            if server is not None and host in {None, place.console_host(server)}:
                logged.project, logged.server_id = place.project.name, server.id
                return place
        for place in self._projects.values():
            if host is not None and place.server_at(host) is not None:
                logged.project = place.project.name
                return place
        return None

    async def _view(self, logged: LoggedRequest, socket: web.WebSocketResponse) -> None:
        """Let a viewer and a machine talk; the status of this is the WebSocket's close code."""
        place = self._projects[logged.project]
        logged.operation = Operation.CONSOLE_RFB
        machine = logged.project, logged.server_id
        most = place.project.console.viewers
        viewing = Viewing(socket, logged.request, self._clock)
        self._viewers[machine] += 1
        try:
            if most is not None and self._viewers[machine] > most:
                await viewing.refuse()
            else:
                await viewing.run(self._visits.delayed(logged, place))
        finally:
            self._viewers[machine] -= 1
            if not self._viewers[machine]:
                del self._viewers[machine]
            status = str(viewing.close_code or NO_STATUS)
            self._visits.counts[logged.project, logged.operation, status] += 1


def _page(host: str) -> Reply:
    cookie = f"session={secrets.token_hex(16)}; Path=/; HttpOnly"
    body = _PAGE.format(host=escape(host)).encode()
    return Reply(200, body, HTML, {"Set-Cookie": cookie})


def _serves(place: ProjectState, request: web.Request) -> bool:
    path = place.project.console.websocket
    asked = WebSocketPath.RELATIVE if "host" in request.match_info else WebSocketPath.ROOT
    return path in {WebSocketPath.ANY, asked}


def _speaks_binary(request: web.Request) -> bool:
    """Tell whether the client offers ``binary`` or leaves the subprotocol open."""
    offered = request.headers.get("Sec-WebSocket-Protocol")
    return offered is None or _SUBPROTOCOL in {name.strip() for name in offered.split(",")}
