"""Serve the API of CloudDC, IAM and the metadata service.

Each API request is authenticated, counted against the quota, delayed, and subject to faults.
"""

from collections.abc import Callable, Mapping
from urllib.parse import quote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from exporter.clock import Clock
from exporter.simulator.authenticator import Authenticator
from exporter.simulator.faults import Faults
from exporter.simulator.iam import Iam, LoginRequest, Metadata
from exporter.simulator.project_state import ProjectState
from exporter.simulator.replies import Reply, error_reply, ok
from exporter.simulator.request_log import LoggedRequest, RequestLog, to_response
from exporter.simulator.scenario import FaultKind, Operation
from exporter.simulator.signature import SignedRequest


class Cloud:
    """HTTP handlers of the simulated cloud; ``projects`` maps names to states."""

    def __init__(  # noqa: PLR0913 - the parts of the cloud
        self,
        *,
        projects: Mapping[str, ProjectState],
        authenticator: Authenticator,
        iam: Iam,
        metadata: Metadata,
        faults: Faults,
        request_log: RequestLog,
        clock: Clock,
    ) -> None:
        self._by_project_id = {state.project.project_id: state for state in projects.values()}
        self._by_name = projects
        self._authenticator = authenticator
        self._iam = iam
        self._metadata = metadata
        self._faults = faults
        self._request_log = request_log
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the cloud's API."""
        servers = "/v1/{project_id}/physicalservers"
        return [
            Route(servers + "/{server_id}/remote-console-address", self.remote_console),
            Route(servers, self.list_servers),
            Route("/v3/auth/tokens", self.create_token, methods=["POST"]),
            Route("/meta-data/latest/api/token", self.create_session_token, methods=["PUT"]),
            Route("/openstack/latest/securitykey", self.security_key),
            Mount("/", self.unknown),
        ]

    async def remote_console(self, request: Request) -> Response:
        """Return a new console address of a server."""
        entry = self._request_log.begin(request, Operation.REMOTE_CONSOLE)
        entry.server_id = request.path_params["server_id"]

        def work(state: ProjectState) -> Reply:
            server = state.fleet.get(entry.server_id)
            if server is None:
                return error_reply(404, entry.request_id)
            host = quote(state.console_host(server), safe="")
            token = state.console_tokens.issue(server.id, self._request_log.now)
            query = f"token={token}&compression=9&quality=0&resize=scale"
            return ok({"url": f"{_origin(request)}/vnc/{host}/vnc_auto.html?{query}"})

        return await self._request_log.count(entry, self._project_response(request, entry, work))

    async def list_servers(self, request: Request) -> Response:
        """Return a page of the project's servers."""
        entry = self._request_log.begin(request, Operation.LIST_SERVERS)

        def work(state: ProjectState) -> Reply:
            return state.fleet.page(
                limit=request.query_params.get("limit", ""),
                marker=request.query_params.get("marker", ""),
                manage_state=request.query_params.get("manage_state", ""),
                origin=_origin(request),
                request_id=entry.request_id,
                missing=self._faults.unlisted(state.project.name, self._request_log.now),
            )

        return await self._request_log.count(entry, self._project_response(request, entry, work))

    async def create_token(self, request: Request) -> Response:
        """Return a token for a user name and a password."""
        entry = self._request_log.begin(request, Operation.CREATE_TOKEN)
        return await self._request_log.count(entry, self._token_response(request, entry))

    async def create_session_token(self, request: Request) -> Response:
        """Return a session token of the metadata service."""
        ttl = request.headers.get("X-Metadata-Token-Ttl-Seconds", "")
        reply = self._metadata.create_session_token(ttl, self._request_log.now)
        return to_response(reply, self._request_log.plain_headers(uuid4().hex))

    async def security_key(self, request: Request) -> Response:
        """Return temporary access keys."""
        token = request.headers.get("X-Metadata-Token", "")
        reply = self._metadata.security_key(token, self._request_log.now, self._clock.time())
        return to_response(reply, self._request_log.plain_headers(uuid4().hex))

    async def unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests and WebSockets of unknown paths with 404."""
        request_id = uuid4().hex
        reply = error_reply(404, request_id, code="APIGW.0101")
        response = to_response(reply, self._request_log.plain_headers(request_id))
        await response(scope, receive, send)

    async def _project_response(
        self, request: Request, entry: LoggedRequest, work: Callable[[ProjectState], Reply]
    ) -> Response:
        state = self._by_project_id.get(request.path_params["project_id"])
        if state is not None:
            entry.project = state.project.name
        rejection = await self._rejection(request, entry, state)
        if rejection is not None or state is None:
            return to_response(
                rejection or error_reply(403, entry.request_id), self._request_log.headers(entry)
            )
        return await self._request_log.with_faults(entry, state, lambda: work(state))

    async def _rejection(
        self, request: Request, entry: LoggedRequest, state: ProjectState | None
    ) -> Reply | None:
        signed = SignedRequest(
            request.method, _target(request), request.headers, await request.body()
        )
        now = self._request_log.now
        allowed = self._authenticator.check(signed, now, self._clock.time(), entry.request_id)
        if isinstance(allowed, Reply):
            return allowed
        if state is None or state.project.name not in allowed:
            return error_reply(403, entry.request_id)
        if state.quota is None:
            return None
        wait = state.quota.wait(now)
        if not wait:
            return None
        return state.quota.too_many_requests(wait, self._clock.time(), entry.request_id)

    async def _token_response(self, request: Request, entry: LoggedRequest) -> Response:
        login = LoginRequest(await request.body())
        project = self._iam.requested_project(login)
        if project is not None:
            entry.project = project.name
        changed = any(
            fault.kind is FaultKind.WRONG_PASSWORD
            for fault in self._faults.matching(
                entry.project, entry.operation, "", self._request_log.now
            )
        )

        def work() -> Reply:
            return self._iam.create_token(
                login, self._request_log.now, self._clock.time(), changed=changed
            )

        return await self._request_log.with_faults(entry, self._by_name.get(entry.project), work)


def _target(request: Request) -> str:
    """Return path and query as sent."""
    return f"{request.scope['raw_path'].decode()}?{request.scope['query_string'].decode()}"


def _origin(request: Request) -> str:
    return f"{request.scope['scheme']}://{request.headers.get('Host') or 'localhost'}"
