"""Sees each request through: as late and as wrong as the scenario wants it, and counted."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from aiohttp import web

from exporter.simulator.clock import Clock
from exporter.simulator.faults import Faults
from exporter.simulator.project_state import ProjectState
from exporter.simulator.replies import Reply, error_page, refusal, refusal_of_iam
from exporter.simulator.scenario import CONSOLE_OPERATIONS, Fault, FaultKind, Operation
from exporter.simulator.wire_faults import break_wire, broken_reply

REQUEST_ID = "X-Request-Id"
HELD = "X-Simulated-Held-Seconds"
NO_STATUS = "none"
NO_PROJECT = "none"

Counts = Counter[tuple[str, str, str]]
"""Requests by project, operation and status; ``none`` stands for what is not known."""

_SILENT = frozenset(
    {FaultKind.SLOW, FaultKind.UNLISTED, FaultKind.REVOKE_TOKENS, FaultKind.WRONG_PASSWORD}
)


@dataclass(slots=True)
class LoggedRequest:
    """One request on its way through; ``arrived`` is the clock's monotonic time."""

    request: web.Request
    operation: Operation
    arrived: float
    request_id: str
    project: str = NO_PROJECT
    server_id: str = ""


class RequestLog:
    """All requests; time counts from when this was made."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        """Begin with none."""
        self.counts: Counts = Counter()
        self._started = clock.monotonic()
        self._faults = faults
        self._clock = clock

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self._clock.monotonic() - self._started

    def begin(self, request: web.Request, operation: Operation) -> LoggedRequest:
        """Let a request in."""
        return LoggedRequest(request, operation, self._clock.monotonic(), uuid4().hex)

    def headers(self, logged: LoggedRequest) -> dict[str, str]:
        """Return the headers that every answer has."""
        held = self._clock.monotonic() - logged.arrived
        return {REQUEST_ID: logged.request_id, HELD: f"{held:.6f}"}

    async def counted(
        self, logged: LoggedRequest, answer: Awaitable[web.StreamResponse | None]
    ) -> web.StreamResponse:
        """Return the answer, and count it; an answer of None is a connection that is gone."""
        status = NO_STATUS
        try:
            response = await answer
            if response is None:
                return web.Response()  # goes nowhere
            status = str(response.status)
            return response
        finally:
            self.counts[logged.project, logged.operation, status] += 1

    async def with_faults(
        self, logged: LoggedRequest, place: ProjectState | None, work: Callable[[], Reply]
    ) -> web.StreamResponse | None:
        """Do the work as late and as wrong as the scenario wants it."""
        fault = await self.delayed(logged, place)
        good = work()
        if fault is None:
            return sent(good, self.headers(logged))
        return await self.faulty_response(logged, fault, good)

    async def delayed(self, logged: LoggedRequest, place: ProjectState | None) -> Fault | None:
        """Wait as long as the answer takes; return the fault that strikes it, if one does."""
        struck = self._faults.striking(logged.project, logged.operation, logged.server_id, self.now)
        delay = place.latency() if place else 0.0
        delay += sum(fault.seconds for fault in struck if fault.kind is FaultKind.SLOW)
        if delay > 0:
            await self._clock.sleep(delay)
        return next((fault for fault in struck if fault.kind not in _SILENT), None)

    async def faulty_response(
        self, logged: LoggedRequest, fault: Fault, good: Reply
    ) -> web.StreamResponse | None:
        """Answer as ``fault`` does, in place of the good answer."""
        if fault.kind in {FaultKind.STATUS, FaultKind.IAM_DOWN}:
            return sent(_refusal_of(fault, logged), self.headers(logged))
        reply = broken_reply(fault, good)
        if reply is not None:
            return sent(reply, self.headers(logged))
        headers = {**self.headers(logged), **good.headers, "Content-Type": good.content_type}
        return await break_wire(fault, logged.request, good, headers)


def sent(reply: Reply, headers: dict[str, str]) -> web.StreamResponse:
    """Return a reply as the server sends it, with these headers beside its own."""
    headers.update(reply.headers)
    if reply.body:
        headers["Content-Type"] = reply.content_type
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def _refusal_of(fault: Fault, logged: LoggedRequest) -> Reply:
    if fault.kind is FaultKind.IAM_DOWN:
        return refusal_of_iam(503, "The service is currently unable to handle the request.")
    if logged.operation in CONSOLE_OPERATIONS:
        return error_page(fault.status)
    if fault.shape is None and logged.operation is Operation.CREATE_TOKEN:
        return refusal_of_iam(fault.status, "The request could not be processed.")
    if fault.shape is None:
        return refusal(fault.status, logged.request_id, code=fault.error_code)
    return refusal(fault.status, logged.request_id, code=fault.error_code, shape=fault.shape)
