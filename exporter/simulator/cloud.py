"""The cloud's operations: each request goes past the gateway, the quota, the delay, the faults."""

from collections.abc import Callable, Mapping
from urllib.parse import quote
from uuid import uuid4

from aiohttp import web

from exporter.simulator.authenticator import Authenticator
from exporter.simulator.clock import Clock
from exporter.simulator.faults import Faults
from exporter.simulator.iam import Iam, LoginRequest, Metadata
from exporter.simulator.project_state import ProjectState
from exporter.simulator.replies import Reply, ok, refusal
from exporter.simulator.request_log import REQUEST_ID, LoggedRequest, RequestLog, sent
from exporter.simulator.scenario import FaultKind, Operation
from exporter.simulator.signature import SignedRequest


class Cloud:
    """Answers what the cloud answers."""

    def __init__(  # noqa: PLR0913 - the parts of a cloud
        self,
        *,
        projects: Mapping[str, ProjectState],
        gatekeeper: Authenticator,
        iam: Iam,
        metadata: Metadata,
        faults: Faults,
        visits: RequestLog,
        clock: Clock,
    ) -> None:
        """Join the parts; ``projects`` are found by name."""
        self._by_project_id = {place.project.project_id: place for place in projects.values()}
        self._by_name = projects
        self._gatekeeper = gatekeeper
        self._iam = iam
        self._metadata = metadata
        self._faults = faults
        self._visits = visits
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
        logged = self._visits.begin(request, Operation.REMOTE_CONSOLE)
        logged.server_id = request.match_info["server_id"]

        def work(place: ProjectState) -> Reply:
            server = place.fleet.get(logged.server_id)
            if server is None:
                return refusal(404, logged.request_id)
            host = quote(place.console_host(server), safe="")
            token = place.console_tokens.mint(server.id, self._visits.now)
            query = f"token={token}&compression=9&quality=0&resize=scale"
            return ok({"url": f"{_origin(request)}/vnc/{host}/vnc_auto.html?{query}"})

        return await self._visits.counted(logged, self._project_answer(logged, work))

    async def list_servers(self, request: web.Request) -> web.StreamResponse:
        """Give a page of the project's servers."""
        logged = self._visits.begin(request, Operation.LIST_SERVERS)

        def work(place: ProjectState) -> Reply:
            return place.fleet.page(
                limit=request.query.get("limit", ""),
                marker=request.query.get("marker", ""),
                manage_state=request.query.get("manage_state", ""),
                origin=_origin(request),
                request_id=logged.request_id,
                missing=self._faults.unlisted(place.project.name, self._visits.now),
            )

        return await self._visits.counted(logged, self._project_answer(logged, work))

    async def create_token(self, request: web.Request) -> web.StreamResponse:
        """Give a token for a password."""
        logged = self._visits.begin(request, Operation.CREATE_TOKEN)
        return await self._visits.counted(logged, self._token_answer(logged))

    async def create_session_token(self, request: web.Request) -> web.StreamResponse:
        """Give a token for the metadata service."""
        ttl = request.headers.get("X-Metadata-Token-Ttl-Seconds", "")
        return sent(self._metadata.create_session_token(ttl, self._visits.now), _plain_headers())

    async def security_key(self, request: web.Request) -> web.StreamResponse:
        """Give temporary access keys."""
        token = request.headers.get("X-Metadata-Token", "")
        reply = self._metadata.security_key(token, self._visits.now, self._clock.time())
        return sent(reply, _plain_headers())

    async def unknown(self, _request: web.Request) -> web.StreamResponse:
        """Refuse what is no API."""
        headers = _plain_headers()
        return sent(refusal(404, headers[REQUEST_ID], code="APIGW.0101"), headers)

    async def _project_answer(
        self, logged: LoggedRequest, work: Callable[[ProjectState], Reply]
    ) -> web.StreamResponse | None:
        request = logged.request
        place = self._by_project_id.get(request.match_info["project_id"])
        if place is not None:
            logged.project = place.project.name
        refused = await self._refused(logged, place)
        if refused is not None or place is None:
            return sent(refused or refusal(403, logged.request_id), self._visits.headers(logged))
        return await self._visits.with_faults(logged, place, lambda: work(place))

    async def _refused(self, logged: LoggedRequest, place: ProjectState | None) -> Reply | None:
        request = logged.request
        body = await request.read() if request.can_read_body else b""
        signed = SignedRequest(request.method, request.raw_path, request.headers, body)
        now = self._visits.now
        allowed = self._gatekeeper.check(signed, now, self._clock.time(), logged.request_id)
        if isinstance(allowed, Reply):
            return allowed
        if place is None or place.project.name not in allowed:
            return refusal(403, logged.request_id)
        if place.quota_meter is None:
            return None
        wait = place.quota_meter.wait(now)
        if not wait:
            return None
        return place.quota_meter.refuse(wait, self._clock.time(), logged.request_id)

    async def _token_answer(self, logged: LoggedRequest) -> web.StreamResponse | None:
        login = LoginRequest(await logged.request.read())
        project = self._iam.project_asked_for(login)
        if project is not None:
            logged.project = project.name
        changed = any(
            fault.kind is FaultKind.WRONG_PASSWORD
            for fault in self._faults.striking(
                logged.project, logged.operation, "", self._visits.now
            )
        )

        def work() -> Reply:
            return self._iam.create_token(
                login, self._visits.now, self._clock.time(), changed=changed
            )

        return await self._visits.with_faults(logged, self._by_name.get(logged.project), work)


def _plain_headers() -> dict[str, str]:
    return {REQUEST_ID: uuid4().hex}


def _origin(request: web.Request) -> str:
    # request.host would look up this machine's name for requests without the header.
    return f"{request.scheme}://{request.headers.get('Host') or 'localhost'}"
