"""Probe one target: run the stages up to its depth within one deadline, and give one result."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace

import structlog

from exporter.clock import Clock
from exporter.cloud.api_error import ApiError
from exporter.cloud.client import CloudClient
from exporter.cloud.errors import LoginFailedError
from exporter.http.deadline import Deadline
from exporter.http.errors import BadResponseError, NoResponse, NoResponseError, RequestError
from exporter.model import ProbeResult, Stage, StageTiming, Target
from exporter.outcome import Outcome
from exporter.probe.api import console_address
from exporter.probe.console import ConsoleClient
from exporter.probe.rfb import read_version
from exporter.probe.stage import StageFailedError
from exporter.ratelimit.throttle import Permit

_NO_ANSWER = {
    NoResponse.DNS: Outcome.DNS_ERROR,
    NoResponse.CONNECT: Outcome.CONNECT_ERROR,
    NoResponse.TLS: Outcome.TLS_ERROR,
    NoResponse.EXHAUSTED: Outcome.INTERNAL_ERROR,
    NoResponse.HELD_UP: Outcome.INTERNAL_ERROR,
    NoResponse.FORBIDDEN: Outcome.BAD_RESPONSE,
    NoResponse.CLOSED: Outcome.PROTOCOL_ERROR,
    NoResponse.PROTOCOL: Outcome.PROTOCOL_ERROR,
    NoResponse.TIMEOUT: Outcome.TIMEOUT,
}
_DEPTHS = {stage: depth for depth, stage in enumerate(Stage)}

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Walk:
    """One probe on its way: what it has spent, where it is, and what it has seen."""

    target: Target
    deadline: Deadline
    stage: Stage = Stage.API
    note: str = ""
    timings: list[StageTiming] = field(default_factory=list)
    status: int = 0
    error: ApiError = field(default_factory=ApiError)

    @contextmanager
    def at(self, stage: Stage) -> Iterator[None]:
        """Time a stage. One that never reached the wire has no duration: absent, not zero."""
        self.stage, self.note = stage, ""
        before, passed = self.deadline.spent, False
        try:
            yield
            passed = True
        finally:
            spent = self.deadline.spent - before
            if spent:
                self.timings.append(StageTiming(stage, spent, passed, self.note))

    def ends_at(self, stage: Stage) -> bool:
        """Return whether the target is probed no deeper than ``stage``."""
        return _DEPTHS[self.target.depth] <= _DEPTHS[stage]

    def blame(self, stage: Stage) -> None:
        """Put a failure down to the stage before, which then took all the time until now."""
        last = self.timings.pop()
        before = self.timings[-1]
        self.timings[-1] = replace(before, seconds=before.seconds + last.seconds, passed=False)
        self.stage = stage


class Prober:
    """Probes the targets of one project."""

    def __init__(self, client: CloudClient, consoles: ConsoleClient, clock: Clock) -> None:
        """Ask for addresses through ``client`` and follow them through ``consoles``."""
        self._client = client
        self._consoles = consoles
        self._clock = clock

    async def permit(self, due: float) -> Permit:
        """Wait for the project's throttle; lower ``due`` goes first."""
        return await self._client.permit(due)

    async def probe(self, target: Target, permit: Permit) -> ProbeResult:
        """Probe ``target`` now, in its turn. Never raises but for cancellation."""
        started_at = self._clock.time()
        walk = _Walk(target, Deadline(target.timeout, waited=permit.waited))
        outcome, detail = Outcome.SUCCESS, ""
        try:
            await self._walk(walk, permit)
        except StageFailedError as failure:
            outcome, detail = failure.outcome, str(failure)
            if failure.stage and failure.stage is not walk.stage:
                walk.blame(failure.stage)
        except RequestError as failure:
            outcome, detail = _outcome_of(failure), str(failure)
            if outcome is Outcome.INTERNAL_ERROR:
                log.warning("probe failed for want of resources", why=detail, **_names(target))
        except Exception as fault:  # a fault of ours must not pass for the console's
            log.exception("probe failed by a fault of the exporter", **_names(target))
            outcome, detail = Outcome.INTERNAL_ERROR, type(fault).__name__
        return ProbeResult(
            target=target,
            started_at=started_at,
            outcome=outcome,
            failed_stage=None if outcome is Outcome.SUCCESS else walk.stage,
            status_code=walk.status,
            error_code=walk.error.code,
            request_id=walk.error.request_id,
            stages=tuple(walk.timings),
            waited_seconds=walk.deadline.waited,
            detail=detail,
        )

    async def _walk(self, walk: _Walk, permit: Permit) -> None:
        target, deadline = walk.target, walk.deadline
        with walk.at(Stage.API):
            try:
                response = await self._client.remote_console(target.key.server_id, permit, deadline)
            except RequestError as failure:
                walk.status = getattr(failure, "status", 0)
                raise
            walk.status, walk.error = response.status, ApiError.of(response)
            address = console_address(response, walk.error)
            if walk.ends_at(Stage.API):
                return
            self._consoles.check(address)
        with walk.at(Stage.PAGE):
            page = await self._consoles.page(address, deadline)
            walk.note = page.address.place
        if walk.ends_at(Stage.PAGE):
            return
        async with AsyncExitStack() as stack:
            with walk.at(Stage.WEBSOCKET):
                opened = await stack.enter_async_context(
                    self._consoles.websocket(page, target, deadline)
                )
                walk.note = opened.note
            if walk.ends_at(Stage.WEBSOCKET):
                return
            with walk.at(Stage.RFB):
                walk.note = f"RFB {await read_version(opened.messages, deadline)}"


ProberOf = Callable[[str], Prober]
"""Finds the prober of a project by the project's name."""


def skipped(
    target: Target,
    due: float,
    waited: float,
    why: str = "its turn in the throttle did not come in time",
) -> ProbeResult:
    """Return the result of a slot at ``due`` in which nothing was found out, and ``why``."""
    return ProbeResult(
        target=target,
        started_at=due,
        outcome=Outcome.SKIPPED,
        failed_stage=Stage.API,
        waited_seconds=waited,
        detail=why,
    )


def _outcome_of(failure: RequestError) -> Outcome:
    if isinstance(failure, NoResponseError):
        return _NO_ANSWER[failure.reason]
    if isinstance(failure, LoginFailedError):
        return Outcome.UNAUTHORIZED
    if isinstance(failure, BadResponseError):
        return Outcome.BAD_RESPONSE
    raise failure


def _names(target: Target) -> dict[str, str]:
    return {"project": target.key.project, "server_id": target.key.server_id, "server": target.name}
