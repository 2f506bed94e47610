"""The cloud's operations: each request goes past the gateway, the quota, the delay, the faults."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote
from uuid import uuid4

from aiohttp import web

from exporter.simulator.breakage import break_wire, broken_reply
from exporter.simulator.clock import Clock
from exporter.simulator.faults import Faults
from exporter.simulator.gatekeeper import Gatekeeper
from exporter.simulator.iam import Iam, LoginRequest, Metadata
from exporter.simulator.premises import Premises
from exporter.simulator.replies import Reply, ok, refusal, refusal_of_iam
from exporter.simulator.scenario import Fault, FaultKind, Operation
from exporter.simulator.signature import SignedRequest

REQUEST_ID = "X-Request-Id"
HELD = "X-Simulated-Held-Seconds"
NO_STATUS = "none"
NO_PROJECT = "none"

Counts = Counter[tuple[str, str, str]]
"""Requests by project, operation and status; ``none`` stands for what is not known."""

_SILENT = frozenset({FaultKind.SLOW, FaultKind.REVOKE_TOKENS, FaultKind.WRONG_PASSWORD})


@dataclass(slots=True)
class Visit:
    """One request on its way through; ``arrived`` is the clock's monotonic time."""

    request: web.Request
    operation: Operation
    arrived: float
    request_id: str
    project: str = NO_PROJECT
    server_id: str = ""


class Cloud:
    """Answers what the cloud answers."""

    def __init__(  # noqa: PLR0913 - the parts of a cloud
        self,
        *,
        projects: Mapping[str, Premises],
        gatekeeper: Gatekeeper,
        iam: Iam,
        metadata: Metadata,
        faults: Faults,
        clock: Clock,
    ) -> None:
        """Join the parts; ``projects`` are found by name."""
        self.counts: Counts = Counter()
        self.started = clock.monotonic()
        self._by_project_id = {place.project.project_id: place for place in projects.values()}
        self._by_name = projects
        self._gatekeeper = gatekeeper
        self._iam = iam
        self._metadata = metadata
        self._faults = faults
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the addresses that the cloud answers at."""
        servers = "/v1/{project_id}/physicalservers"
        return [
            web.get(servers + "/{server_id}/remote-console-address", self.remote_console),
            web.get(servers, self.list_servers),
            web.post("/v3/auth/tokens", self.create_token),
            web.put("/meta-data/latest/api/token", self.create_session_token),
            web.get("/openstack/latest/securitykey", self.security_key),
            web.route("*", "/{unknown:.*}", self.unknown),
        ]

    async def remote_console(self, request: web.Request) -> web.StreamResponse:
        """Mint the address of a server's console."""
        visit = self._visit(request, Operation.REMOTE_CONSOLE)
        visit.server_id = request.match_info["server_id"]

        def work(place: Premises) -> Reply:
            server = place.fleet.get(visit.server_id)
            if server is None:
                return refusal(404, visit.request_id)
            host = f"{quote(server.name, safe='')}.{place.project.region}"
            query = f"token={uuid4()}&compression=9&quality=0&resize=scale"
            return ok({"url": f"{_origin(request)}/vnc/{host}/vnc_auto.html?{query}"})

        return await self._counted(visit, self._project_answer(visit, work))

    async def list_servers(self, request: web.Request) -> web.StreamResponse:
        """Give a page of the project's servers."""
        visit = self._visit(request, Operation.LIST_SERVERS)

        def work(place: Premises) -> Reply:
            return place.fleet.page(
                limit=request.query.get("limit", ""),
                marker=request.query.get("marker", ""),
                manage_state=request.query.get("manage_state", ""),
                origin=_origin(request),
                request_id=visit.request_id,
            )

        return await self._counted(visit, self._project_answer(visit, work))

    async def create_token(self, request: web.Request) -> web.StreamResponse:
        """Give a token for a password."""
        visit = self._visit(request, Operation.CREATE_TOKEN)
        return await self._counted(visit, self._token_answer(visit))

    async def create_session_token(self, request: web.Request) -> web.StreamResponse:
        """Give a token for the metadata service."""
        ttl = request.headers.get("X-Metadata-Token-Ttl-Seconds", "")
        return _sent(self._metadata.create_session_token(ttl, self._now), _plain_headers())

    async def security_key(self, request: web.Request) -> web.StreamResponse:
        """Give temporary access keys."""
        token = request.headers.get("X-Metadata-Token", "")
        reply = self._metadata.security_key(token, self._now, self._clock.time())
        return _sent(reply, _plain_headers())

    async def unknown(self, _request: web.Request) -> web.StreamResponse:
        """Refuse what is no API."""
        headers = _plain_headers()
        return _sent(refusal(404, headers[REQUEST_ID], code="APIGW.0101"), headers)

    @property
    def _now(self) -> float:
        """Seconds since the start."""
        return self._clock.monotonic() - self.started

    def _visit(self, request: web.Request, operation: Operation) -> Visit:
        return Visit(request, operation, self._clock.monotonic(), uuid4().hex)

    async def _counted(
        self, visit: Visit, answer: Awaitable[web.StreamResponse | None]
    ) -> web.StreamResponse:
        status = NO_STATUS
        try:
            response = await answer
            if response is None:
                return web.Response()  # goes nowhere: the connection is gone
            status = str(response.status)
            return response
        finally:
            self.counts[visit.project, visit.operation, status] += 1

    async def _project_answer(
        self, visit: Visit, work: Callable[[Premises], Reply]
    ) -> web.StreamResponse | None:
        request = visit.request
        place = self._by_project_id.get(request.match_info["project_id"])
        if place is not None:
            visit.project = place.project.name
        refused = await self._refused(visit, place)
        if refused is not None or place is None:
            return _sent(refused or refusal(403, visit.request_id), self._headers(visit))
        return await self._weathered(visit, place, lambda: work(place))

    async def _refused(self, visit: Visit, place: Premises | None) -> Reply | None:
        request = visit.request
        body = await request.read() if request.can_read_body else b""
        signed = SignedRequest(request.method, request.raw_path, request.headers, body)
        now = self._now
        allowed = self._gatekeeper.check(signed, now, self._clock.time(), visit.request_id)
        if isinstance(allowed, Reply):
            return allowed
        if place is None or place.project.name not in allowed:
            return refusal(403, visit.request_id)
        if place.meter is None:
            return None
        wait = place.meter.wait(now)
        if not wait:
            return None
        return place.meter.refuse(wait, self._clock.time(), visit.request_id)

    async def _token_answer(self, visit: Visit) -> web.StreamResponse | None:
        login = LoginRequest(await visit.request.read())
        project = self._iam.project_asked_for(login)
        if project is not None:
            visit.project = project.name
        changed = any(
            fault.kind is FaultKind.WRONG_PASSWORD
            for fault in self._faults.striking(visit.project, visit.operation, "", self._now)
        )

        def work() -> Reply:
            return self._iam.create_token(login, self._now, self._clock.time(), changed=changed)

        return await self._weathered(visit, self._by_name.get(visit.project), work)

    async def _weathered(
        self, visit: Visit, place: Premises | None, work: Callable[[], Reply]
    ) -> web.StreamResponse | None:
        """Do the work as late and as wrong as the scenario wants it."""
        struck = self._faults.striking(visit.project, visit.operation, visit.server_id, self._now)
        delay = place.latency() if place else 0.0
        delay += sum(fault.seconds for fault in struck if fault.kind is FaultKind.SLOW)
        if delay > 0:
            await self._clock.sleep(delay)
        good = work()
        fault = next((fault for fault in struck if fault.kind not in _SILENT), None)
        if fault is None:
            return _sent(good, self._headers(visit))
        if fault.kind in {FaultKind.STATUS, FaultKind.IAM_DOWN}:
            return _sent(_refusal_of(fault, visit), self._headers(visit))
        reply = broken_reply(fault, good)
        if reply is not None:
            return _sent(reply, self._headers(visit))
        headers = {**self._headers(visit), **good.headers, "Content-Type": good.content_type}
        return await break_wire(fault, visit.request, good, headers)

    def _headers(self, visit: Visit) -> dict[str, str]:
        held = self._clock.monotonic() - visit.arrived
        return {REQUEST_ID: visit.request_id, HELD: f"{held:.6f}"}


def _refusal_of(fault: Fault, visit: Visit) -> Reply:
    if fault.kind is FaultKind.IAM_DOWN:
        return refusal_of_iam(503, "The service is currently unable to handle the request.")
    if fault.shape is None and visit.operation is Operation.CREATE_TOKEN:
        return refusal_of_iam(fault.status, "The request could not be processed.")
    if fault.shape is None:
        return refusal(fault.status, visit.request_id, code=fault.error_code)
    return refusal(fault.status, visit.request_id, code=fault.error_code, shape=fault.shape)


def _sent(reply: Reply, headers: dict[str, str]) -> web.StreamResponse:
    headers.update(reply.headers)
    if reply.body:
        headers["Content-Type"] = reply.content_type
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def _plain_headers() -> dict[str, str]:
    return {REQUEST_ID: uuid4().hex}


def _origin(request: web.Request) -> str:
    # request.host would look up this machine's name for requests without the header.
    return f"{request.scheme}://{request.headers.get('Host') or 'localhost'}"
