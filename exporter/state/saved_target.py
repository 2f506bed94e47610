"""Convert the state of a target to and from its saved form.

The saved form is a line of JSON and the packed history. Results in the JSON keep full precision, so
that metrics have the same values after a restart. Counters are not saved.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from exporter.model import ProbeResult, Stage, StageTiming, Target
from exporter.outcome import Outcome
from exporter.state.history import DamagedHistoryError, History, ResultTemplate, shared_template
from exporter.state.store import TargetState


class DamagedStateError(Exception):
    """The saved state of a target is unreadable."""


class SavedTarget(NamedTuple):
    """The saved state of one target.

    ``at`` is the start of the last result, in Unix seconds; ``line`` is JSON.
    """

    at: float
    line: str
    history: bytes

    @classmethod
    def of(cls, state: TargetState) -> "SavedTarget | None":
        """Return the saved form of a state; None before the first result."""
        if state.last is None:
            return None
        templates, packed = state.history.packed
        results: list[ProbeResult] = []

        def index_of(result: ProbeResult | None) -> int | None:
            # Usually all three are the same result.
            if result is None:
                return None
            for index, known in enumerate(results):
                if known is result:
                    return index
            results.append(result)
            return len(results) - 1

        indexes = [index_of(one) for one in (state.last, state.last_attempt, state.last_verdict)]
        line = json.dumps(
            [
                [_to_json(result) for result in results],
                indexes,
                state.last_success_at,
                state.consecutive_failures,
                state.verdict_since,
                [_template_to_json(template) for template in templates],
            ],
            separators=(",", ":"),
        )
        return cls(state.last.started_at, line, packed)

    def restored(self, target: Target) -> TargetState:
        """Return the state of ``target``; raises `DamagedStateError`."""
        try:
            saved, indexes, success_at, failures, since, templates = json.loads(self.line)
            results = [_result(target, one) for one in saved]
            last, attempt, verdict = [None if at is None else results[at] for at in indexes]
            if last is None:
                raise DamagedStateError("there is no last result")
            return TargetState(
                target,
                History.unpacked(target, [_template(one) for one in templates], self.history),
                last=last,
                last_attempt=attempt,
                last_verdict=verdict,
                last_success_at=None if success_at is None else float(success_at),
                consecutive_failures=int(failures),
                verdict_since=None if since is None else float(since),
                restored=last,
            )
        except (ValueError, TypeError, IndexError, RecursionError, DamagedHistoryError) as error:
            raise DamagedStateError(type(error).__name__) from None


def _to_json(result: ProbeResult) -> list[Any]:
    return [
        result.started_at,
        result.outcome,
        result.failed_stage,
        result.status_code,
        result.error_code,
        result.request_id,
        [[one.stage, one.seconds, one.passed, one.note] for one in result.stages],
        result.waited_seconds,
        result.detail,
    ]


def _result(target: Target, saved: Sequence[Any]) -> ProbeResult:
    started_at, outcome, failed, status, code, request_id, stages, waited, detail = saved
    return ProbeResult(
        target=target,
        started_at=float(started_at),
        outcome=Outcome(outcome),
        failed_stage=None if failed is None else Stage(failed),
        status_code=int(status),
        error_code=str(code),
        request_id=str(request_id),
        stages=tuple(
            StageTiming(Stage(stage), float(seconds), bool(passed), str(note))
            for stage, seconds, passed, note in stages
        ),
        waited_seconds=float(waited),
        detail=str(detail),
    )


def _template_to_json(template: ResultTemplate) -> list[Any]:
    return [
        template.outcome,
        template.failed_stage,
        template.status_code,
        template.error_code,
        template.detail,
        template.stages,
        template.waited,
        template.request_id_kind,
    ]


def _template(saved: Sequence[Any]) -> ResultTemplate:
    outcome, failed, status, code, detail, stages, waited, request_id = saved
    return shared_template(
        (
            Outcome(outcome),
            None if failed is None else Stage(failed),
            int(status),
            str(code),
            str(detail),
            tuple((Stage(stage), bool(passed), str(note)) for stage, passed, note in stages),
            bool(waited),
            int(request_id),
        )
    )
