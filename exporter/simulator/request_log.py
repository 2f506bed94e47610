"""Count each request and apply the scenario's latency and faults."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from uuid import uuid4

from starlette.requests import HTTPConnection
from starlette.responses import Response

from exporter.clock import Clock
from exporter.simulator.connection import Connection
from exporter.simulator.faults import Faults
from exporter.simulator.project_state import ProjectState
from exporter.simulator.replies import Reply, error_page, error_reply, iam_error_reply
from exporter.simulator.scenario import CONSOLE_OPERATIONS, Fault, FaultKind, Operation
from exporter.simulator.wire_faults import break_wire, broken_reply

REQUEST_ID = "X-Request-Id"
HELD = "X-Simulated-Held-Seconds"
NO_STATUS = "none"
NO_PROJECT = "none"

Counts = Counter[tuple[str, str, str]]
"""Number of requests by project, operation and status; ``none`` means unknown or no response."""

_WITHOUT_RESPONSE = frozenset(
    {FaultKind.SLOW, FaultKind.UNLISTED, FaultKind.REVOKE_TOKENS, FaultKind.WRONG_PASSWORD}
)


@dataclass(slots=True)
class LoggedRequest:
    """One request in progress; ``arrived`` is the clock's monotonic time."""

    connection: Connection
    operation: Operation
    arrived: float
    request_id: str
    project: str = NO_PROJECT
    server_id: str = ""


class RequestLog:
    """Counts all requests and delays them; ``now`` is seconds since the creation of the log."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self.counts: Counts = Counter()
        self._started = clock.monotonic()
        self._faults = faults
        self._clock = clock

    @property
    def now(self) -> float:
        """Return the seconds since the log was created."""
        return self._clock.monotonic() - self._started

    def begin(self, request: HTTPConnection, operation: Operation) -> LoggedRequest:
        """Create the entry of a request that has just arrived."""
        connection = Connection.of(request)
        return LoggedRequest(connection, operation, self._clock.monotonic(), uuid4().hex)

    def headers(self, entry: LoggedRequest) -> dict[str, str]:
        """Return the headers of every response to a logged request."""
        held = self._clock.monotonic() - entry.arrived
        return {**self.plain_headers(entry.request_id), HELD: f"{held:.6f}"}

    def plain_headers(self, request_id: str) -> dict[str, str]:
        """Return the headers of every response."""
        return {"Date": formatdate(self._clock.time(), usegmt=True), REQUEST_ID: request_id}

    async def count(self, entry: LoggedRequest, response: Awaitable[Response]) -> Response:
        """Count a request and return its response."""
        status = NO_STATUS
        try:
            result = await response
            status = str(result.status_code)
            return result
        finally:
            self.counts[entry.project, entry.operation, status] += 1

    async def with_faults(
        self, entry: LoggedRequest, state: ProjectState | None, work: Callable[[], Reply]
    ) -> Response:
        """Do the work with the latency and the faults of the scenario."""
        fault = await self.delay(entry, state)
        good = work()
        if fault is None:
            return to_response(good, self.headers(entry))
        return await self.faulty_response(entry, fault, good)

    async def delay(self, entry: LoggedRequest, state: ProjectState | None) -> Fault | None:
        """Wait for the latency of the response; return the fault to apply, if any."""
        faults = self._faults.matching(entry.project, entry.operation, entry.server_id, self.now)
        seconds = state.latency() if state else 0.0
        seconds += sum(fault.seconds for fault in faults if fault.kind is FaultKind.SLOW)
        if seconds > 0:
            await self._clock.sleep(seconds)
        return next((fault for fault in faults if fault.kind not in _WITHOUT_RESPONSE), None)

    async def faulty_response(self, entry: LoggedRequest, fault: Fault, good: Reply) -> Response:
        """Return the response of ``fault`` in place of the good one."""
        if fault.kind in {FaultKind.STATUS, FaultKind.IAM_DOWN}:
            return to_response(_fault_reply(fault, entry), self.headers(entry))
        reply = broken_reply(fault, good)
        if reply is not None:
            return to_response(reply, self.headers(entry))
        headers = {**self.headers(entry), **good.headers, "Content-Type": good.content_type}
        return await break_wire(fault, entry.connection, good, headers)


def to_response(reply: Reply, headers: dict[str, str]) -> Response:
    """Return a reply as a Starlette response, with additional headers."""
    headers.update(reply.headers)
    if reply.body:
        headers["Content-Type"] = reply.content_type
    return Response(reply.body, reply.status, headers)


def _fault_reply(fault: Fault, entry: LoggedRequest) -> Reply:
    if fault.kind is FaultKind.IAM_DOWN:
        return iam_error_reply(503, "The service is currently unable to handle the request.")
    if entry.operation in CONSOLE_OPERATIONS:
        return error_page(fault.status)
    if fault.shape is None and entry.operation is Operation.CREATE_TOKEN:
        return iam_error_reply(fault.status, "The request could not be processed.")
    if fault.shape is None:
        return error_reply(fault.status, entry.request_id, code=fault.error_code)
    return error_reply(fault.status, entry.request_id, code=fault.error_code, shape=fault.shape)
