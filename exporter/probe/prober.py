"""Probe one target: run the stages up to its depth within one deadline, and give one result."""

from collections.abc import Callable

import structlog

from exporter.clock import Clock
from exporter.cloud.answer import ApiError
from exporter.cloud.budget import Budget
from exporter.cloud.client import CloudClient
from exporter.cloud.errors import (
    BadAnswerError,
    CloudError,
    LoginFailedError,
    NoAnswer,
    NoAnswerError,
)
from exporter.cloud.throttle import Turn
from exporter.model import ProbeResult, Stage, StageTiming, Target
from exporter.outcome import Outcome
from exporter.probe.api import Judgement, judge

_NO_ANSWER = {
    NoAnswer.DNS: Outcome.DNS_ERROR,
    NoAnswer.CONNECT: Outcome.CONNECT_ERROR,
    NoAnswer.TLS: Outcome.TLS_ERROR,
    NoAnswer.PROTOCOL: Outcome.PROTOCOL_ERROR,
    NoAnswer.TIMEOUT: Outcome.TIMEOUT,
}

STAGES = (Stage.API,)
"""The stages that a probe can go to, in order."""

log = structlog.get_logger(__name__)


class Prober:
    """Probes the targets of one project."""

    def __init__(self, client: CloudClient, clock: Clock) -> None:
        """Probe through ``client``."""
        self._client = client
        self._clock = clock

    async def turn(self, due: float) -> Turn:
        """Wait for the project's throttle; lower ``due`` goes first."""
        return await self._client.turn(due)

    async def probe(self, target: Target, turn: Turn) -> ProbeResult:
        """Probe ``target`` now, in its turn. Never raises but for cancellation."""
        started_at = self._clock.time()
        budget = Budget(target.timeout, waited=turn.waited)
        status, error = 0, ApiError()
        try:
            answer = await self._client.remote_console(target.key.server_id, turn, budget)
            status, error = answer.status, ApiError.of(answer)
            judgement = judge(answer, error)
        except CloudError as failure:
            status = getattr(failure, "status", 0)
            judgement = _judge_failure(failure)
        except Exception as fault:  # a fault of ours must not pass for the console's
            log.exception("probe failed by a fault of the exporter", **_names(target))
            judgement = Judgement(Outcome.INTERNAL_ERROR, type(fault).__name__)
        passed = judgement.outcome is Outcome.SUCCESS
        return ProbeResult(
            target=target,
            started_at=started_at,
            outcome=judgement.outcome,
            failed_stage=None if passed else Stage.API,
            status_code=status,
            error_code=error.code,
            request_id=error.request_id,
            # A probe that never reached the wire has no duration: absent, not zero.
            stages=(StageTiming(Stage.API, budget.spent, passed),) if budget.spent else (),
            waited_seconds=budget.waited,
            detail=judgement.detail,
        )


ProberOf = Callable[[str], Prober]
"""Finds the prober of a project by the project's name."""


def skipped(target: Target, due: float, waited: float) -> ProbeResult:
    """Return the result of a slot at ``due`` whose turn in the throttle did not come in time."""
    return ProbeResult(
        target=target,
        started_at=due,
        outcome=Outcome.SKIPPED,
        failed_stage=Stage.API,
        waited_seconds=waited,
        detail="its turn in the throttle did not come before its next slot",
    )


def _judge_failure(failure: CloudError) -> Judgement:
    if isinstance(failure, NoAnswerError):
        return Judgement(_NO_ANSWER[failure.reason], str(failure))
    if isinstance(failure, LoginFailedError):
        return Judgement(Outcome.UNAUTHORIZED, str(failure))
    if isinstance(failure, BadAnswerError):
        return Judgement(Outcome.BAD_RESPONSE, str(failure))
    raise failure


def _names(target: Target) -> dict[str, str]:
    return {"project": target.key.project, "server_id": target.key.server_id, "server": target.name}
