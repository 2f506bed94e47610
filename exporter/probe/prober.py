"""Probe one target: run its stages within one deadline and return one result."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace

import httpx
import structlog

from exporter.clock import Clock
from exporter.cloud.api_error import ApiError
from exporter.cloud.client import CloudClient
from exporter.cloud.errors import LoginFailedError
from exporter.http.deadline import Deadline
from exporter.http.errors import BadResponseError, NoResponse, NoResponseError
from exporter.model import ProbeResult, Stage, StageTiming, Target
from exporter.outcome import Outcome, Verdict
from exporter.probe.api import NOT_FROM_API, console_address, failure_without_api
from exporter.probe.console import ConsoleClient
from exporter.probe.rfb import read_version
from exporter.probe.rfb_stream import RfbStream
from exporter.probe.security import read_security_types
from exporter.probe.stage import StageFailedError
from exporter.ratelimit.transport import URGENT

_OUTCOME_BY_REASON = {
    NoResponse.DNS: Outcome.DNS_ERROR,
    NoResponse.CONNECT: Outcome.CONNECT_ERROR,
    NoResponse.TLS: Outcome.TLS_ERROR,
    NoResponse.EXHAUSTED: Outcome.INTERNAL_ERROR,
    NoResponse.BLOCKED: Outcome.INTERNAL_ERROR,
    NoResponse.FORBIDDEN: Outcome.BAD_RESPONSE,
    NoResponse.CLOSED: Outcome.PROTOCOL_ERROR,
    NoResponse.PROTOCOL: Outcome.PROTOCOL_ERROR,
    NoResponse.TIMEOUT: Outcome.TIMEOUT,
}
_DEPTHS = {stage: depth for depth, stage in enumerate(Stage)}

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _ProbeRun:
    """The state of a running probe: its deadline, current stage, timings and API response.

    ``began`` is the monotonic time of the first permit. ``without_api`` is the failure if the API
    answers no other request either; None after an answer of the API itself.
    """

    target: Target
    deadline: Deadline
    started_at: float
    began: float
    without_api: StageFailedError | None = None
    stage: Stage = Stage.API
    note: str = ""
    timings: list[StageTiming] = field(default_factory=list)
    status: int = 0
    error: ApiError = field(default_factory=ApiError)

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Time the block as ``stage``. A stage that sent nothing gets no timing."""
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
        """Return whether ``stage`` is the last one at the target's depth."""
        return _DEPTHS[self.target.depth] <= _DEPTHS[stage]

    def fail_previous(self, stage: Stage) -> None:
        """Fail the previous stage, ``stage``, and add the current stage's time to it."""
        last = self.timings.pop()
        before = self.timings[-1]
        self.timings[-1] = replace(before, seconds=before.seconds + last.seconds, passed=False)
        self.stage = stage


class Prober:
    """Probes the targets of one project."""

    def __init__(self, client: CloudClient, consoles: ConsoleClient, clock: Clock) -> None:
        self._client = client
        self._consoles = consoles
        self._clock = clock

    async def probe(
        self,
        target: Target,
        *,
        due: float = URGENT,
        on_permit: Callable[[Deadline], None] | None = None,
    ) -> ProbeResult:
        """Probe ``target`` as soon as the rate limit permits; raises nothing but cancellation.

        The earliest ``due`` (monotonic seconds) is served first. ``on_permit`` is called with the
        probe's deadline when the permit is granted, before anything is sent.
        """
        run = _ProbeRun(
            target,
            Deadline(target.timeout),
            started_at=self._clock.time(),
            began=self._clock.monotonic(),
        )

        def permitted() -> None:
            run.started_at, run.began = self._clock.time(), self._clock.monotonic()
            if on_permit is not None:
                on_permit(run.deadline)

        outcome, detail = Outcome.SUCCESS, ""
        try:
            await self._run_stages(run, due, permitted)
        except StageFailedError as failure:
            outcome, detail = failure.outcome, str(failure)
            if failure.stage and failure.stage is not run.stage:
                run.fail_previous(failure.stage)
        except httpx.RequestError as failure:
            outcome, detail = _outcome_of(failure), str(failure)
            if outcome is Outcome.INTERNAL_ERROR:
                log.warning(
                    "probe failed: exporter overloaded or out of resources",
                    why=detail,
                    **_log_fields(target),
                )
        except Exception as error:  # a bug of the exporter must not count against the console
            log.exception("probe failed: internal error", **_log_fields(target))
            outcome, detail = Outcome.INTERNAL_ERROR, type(error).__name__
        if (
            outcome.verdict is Verdict.FAILURE
            and (doubt := run.without_api) is not None
            and not await self._client.answers_since(run.began, timeout=target.timeout)
        ):
            outcome, detail = doubt.outcome, str(doubt)
        return ProbeResult(
            target=target,
            started_at=run.started_at,
            outcome=outcome,
            failed_stage=None if outcome is Outcome.SUCCESS else run.stage,
            status_code=run.status,
            error_code=run.error.code,
            request_id=run.error.request_id,
            stages=tuple(run.timings),
            waited_seconds=run.deadline.waited,
            detail=detail,
        )

    async def _run_stages(self, run: _ProbeRun, due: float, on_permit: Callable[[], None]) -> None:
        target, deadline = run.target, run.deadline
        with run.timed(Stage.API):
            try:
                response = await self._client.remote_console(
                    target.key.server_id, deadline, due=due, on_permit=on_permit
                )
            except httpx.RequestError as failure:
                run.status = getattr(failure, "status", 0)
                run.without_api = _failure_without_api(failure)
                raise
            run.status, run.error = response.status_code, ApiError.of(response)
            run.without_api = failure_without_api(response, run.error)
            address = console_address(response, run.error)
            if run.ends_at(Stage.API):
                return
            self._consoles.check(address)
        with run.timed(Stage.PAGE):
            page = await self._consoles.page(address, deadline)
            run.note = page.address.place
        if run.ends_at(Stage.PAGE):
            return
        async with AsyncExitStack() as stack:
            with run.timed(Stage.WEBSOCKET):
                opened = await stack.enter_async_context(
                    self._consoles.websocket(page, target, deadline)
                )
                run.note = opened.note
            if run.ends_at(Stage.WEBSOCKET):
                return
            with run.timed(Stage.RFB):
                token = page.address.setting("token")
                stream = RfbStream(opened.messages, deadline)
                version = await read_version(stream, token)
                run.note = f"RFB {version}"
            if run.ends_at(Stage.RFB):
                return
            with run.timed(Stage.SECURITY):
                run.note = await read_security_types(stream, version, token)


ProberOf = Callable[[str], Prober]
"""Returns the prober of a project, given the project's name."""


def skipped(
    target: Target,
    due: float,
    waited: float,
    why: str = "the rate limit gave no permit in time",
) -> ProbeResult:
    """Return the result of a probe that was due at ``due`` and did not start; ``why`` says why."""
    return ProbeResult(
        target=target,
        started_at=due,
        outcome=Outcome.SKIPPED,
        failed_stage=Stage.API,
        waited_seconds=waited,
        detail=why,
    )


def _outcome_of(failure: httpx.RequestError) -> Outcome:
    if isinstance(failure, NoResponseError):
        return _OUTCOME_BY_REASON[failure.reason]
    if isinstance(failure, LoginFailedError):
        return Outcome.UNAUTHORIZED
    if isinstance(failure, BadResponseError):
        return Outcome.BAD_RESPONSE
    raise failure


def _failure_without_api(failure: httpx.RequestError) -> StageFailedError:
    """Return the failure that an error is if the API answers no other request either."""
    if isinstance(failure, BadResponseError):
        return StageFailedError(Outcome.WRONG_ENDPOINT, f"{failure}: the answer {NOT_FROM_API}")
    return StageFailedError(
        Outcome.UNREACHABLE, f"{failure}; the API answers no other request either"
    )


def _log_fields(target: Target) -> dict[str, str]:
    return {"project": target.key.project, "server_id": target.key.server_id, "server": target.name}
