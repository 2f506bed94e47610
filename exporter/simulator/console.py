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
from exporter.simulator.project_state import Premises
from exporter.simulator.replies import HTML, Reply, error_page
from exporter.simulator.request_log import NO_STATUS, Visit, Visits, sent
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

    def __init__(self, projects: Mapping[str, Premises], visits: Visits, clock: Clock) -> None:
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
        visit = self._visits.begin(request, Operation.CONSOLE_PAGE)
        return await self._visits.counted(visit, self._page_answer(visit))

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Connect a viewer with a machine, until one of them has enough."""
        visit = self._visits.begin(request, Operation.CONSOLE_WEBSOCKET)
        answer = await self._visits.counted(visit, self._upgraded(visit))
        if isinstance(answer, web.WebSocketResponse):
            await self._view(visit, answer)
        return answer

    async def _page_answer(self, visit: Visit) -> web.StreamResponse | None:
        host = visit.request.match_info["host"]
        for place in self._projects.values():
            server = place.server_at(host)
            if server is not None:
                visit.project, visit.server_id = place.project.name, server.id
                return await self._visits.weathered(visit, place, lambda: _page(host))
        return sent(error_page(404), self._visits.headers(visit))

    async def _upgraded(self, visit: Visit) -> web.StreamResponse | None:
        """Return the WebSocket, or another answer where it is refused; None for no answer."""
        request = visit.request
        token = request.query.get("token") or request.cookies.get("token", "")
        place = self._place_of(visit, token)
        if place is not None and not _serves(place, request):
            return sent(error_page(404), self._visits.headers(visit))
        if place is None or not visit.server_id:
            drop(request)
            return None
        fault = await self._visits.delayed(visit, place)
        if fault is not None:
            return await self._visits.spoiled(visit, fault, Reply(200))
        return await self._shake_hands(visit, place, token)

    async def _shake_hands(
        self, visit: Visit, place: Premises, token: str
    ) -> web.StreamResponse | None:
        request, headers = visit.request, self._visits.headers(visit)
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

    def _place_of(self, visit: Visit, token: str) -> Premises | None:
        """Find the project by the token or else by the host, the server by the token alone."""
        host = visit.request.match_info.get("host")
        for place in self._projects.values():
            server = place.server_of(token, self._visits.now)
            if server is not None and host in {None, place.console_host(server)}:
                visit.project, visit.server_id = place.project.name, server.id
                return place
        for place in self._projects.values():
            if host is not None and place.server_at(host) is not None:
                visit.project = place.project.name
                return place
        return None

    async def _view(self, visit: Visit, socket: web.WebSocketResponse) -> None:
        """Let a viewer and a machine talk; the status of this is the WebSocket's close code."""
        place = self._projects[visit.project]
        visit.operation = Operation.CONSOLE_RFB
        machine = visit.project, visit.server_id
        most = place.project.console.viewers
        viewing = Viewing(socket, visit.request, self._clock)
        self._viewers[machine] += 1
        try:
            if most is not None and self._viewers[machine] > most:
                await viewing.refuse()
            else:
                await viewing.run(self._visits.delayed(visit, place))
        finally:
            self._viewers[machine] -= 1
            if not self._viewers[machine]:
                del self._viewers[machine]
            status = str(viewing.close_code or NO_STATUS)
            self._visits.counts[visit.project, visit.operation, status] += 1


def _page(host: str) -> Reply:
    cookie = f"session={secrets.token_hex(16)}; Path=/; HttpOnly"
    body = _PAGE.format(host=escape(host)).encode()
    return Reply(200, body, HTML, {"Set-Cookie": cookie})


def _serves(place: Premises, request: web.Request) -> bool:
    path = place.project.console.websocket
    asked = WebSocketPath.RELATIVE if "host" in request.match_info else WebSocketPath.ROOT
    return path in {WebSocketPath.ANY, asked}


def _speaks_binary(request: web.Request) -> bool:
    """Tell whether the client offers ``binary`` or leaves the subprotocol open."""
    offered = request.headers.get("Sec-WebSocket-Protocol")
    return offered is None or _SUBPROTOCOL in {name.strip() for name in offered.split(",")}
