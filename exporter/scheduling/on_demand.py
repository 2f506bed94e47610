"""Probe targets on demand, beside the schedule and through the same rate limit."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from exporter.clock import Clock
from exporter.http.deadline import Deadline
from exporter.model import ProbeResult, Target, TargetKey
from exporter.outcome import Outcome
from exporter.probe.prober import ProberOf, skipped

# A caller's deadline may be a little shorter than the target's timeout; a probe that ran for this
# fraction of the timeout is still evidence.
_EVIDENCE_FRACTION = 0.9
# Left for a control request after the timeout, where the caller's deadline is close to it.
_CONTROL_SECONDS = 1.0
# A probe that is still running this long after its deadline is cancelled.
_GRACE_SECONDS = 0.25
_NO_TIME = "the caller's deadline passed first"
_STOPPING = "the exporter is shutting down"


class OnDemandProbes:
    """Probes on demand; their results are not recorded.

    ``lock_of`` returns the lock of a target, which a scheduled probe holds too.
    """

    def __init__(
        self,
        *,
        prober_of: ProberOf,
        lock_of: Callable[[TargetKey], asyncio.Lock],
        clock: Clock,
    ) -> None:
        self._prober_of = prober_of
        self._lock_of = lock_of
        self._clock = clock
        self._tasks: set[asyncio.Task[ProbeResult]] = set()
        self._stopping = False

    async def probe_now(self, target: Target, max_seconds: float) -> ProbeResult:
        """Probe a target within ``max_seconds``, including all waiting.

        Waits for a running probe of the same target. Returns a `skipped` result if the probe does
        not end in time or `stop` cancels it.
        """
        requested_at = self._clock.time()
        if self._stopping:
            return skipped(target, requested_at, 0.0, _STOPPING)
        task = asyncio.get_running_loop().create_task(self._probe(target, max_seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            # A login in between has its own timeout, which may be far longer.
            async with asyncio.timeout(max_seconds + _GRACE_SECONDS):
                return await task
        except TimeoutError:
            why = _NO_TIME
        except asyncio.CancelledError:
            # Cancelled by `stop`, unless the caller itself was cancelled.
            if (current := asyncio.current_task()) and current.cancelling():
                raise
            why = _STOPPING
        return skipped(target, requested_at, max_seconds, why)

    async def stop(self, grace: float) -> None:
        """Start no more probes, wait ``grace`` seconds for running ones, then cancel them."""
        self._stopping = True
        await end_within(self._tasks, grace)

    async def _probe(self, target: Target, max_seconds: float) -> ProbeResult:
        requested_at = self._clock.time()
        since = self._clock.monotonic()
        left = max_seconds
        try:
            async with asyncio.timeout(max_seconds) as waiting:

                def permitted(deadline: Deadline) -> None:
                    nonlocal left
                    waiting.reschedule(None)
                    left = max(0.001, since + max_seconds - self._clock.monotonic())
                    evidence = _EVIDENCE_FRACTION * target.timeout
                    deadline.limit = min(
                        target.timeout, left, max(evidence, left - _CONTROL_SECONDS)
                    )

                async with self._lock_of(target.key):
                    result = await self._prober_of(target.key.project).probe(
                        target, due=since, on_permit=permitted
                    )
        except TimeoutError:
            return skipped(target, requested_at, max_seconds)
        if result.outcome is Outcome.TIMEOUT and left < _EVIDENCE_FRACTION * target.timeout:
            # The caller's deadline was much shorter than the target's timeout: no evidence.
            return replace(result, outcome=Outcome.SKIPPED, detail=_NO_TIME)
        return result


async def end_within(
    tasks: "set[asyncio.Task[ProbeResult]] | set[asyncio.Task[None]]", grace: float
) -> None:
    """Wait ``grace`` seconds for tasks to end, then cancel them."""
    pending = list(tasks)
    if not pending:
        return
    _, unfinished = await asyncio.wait(pending, timeout=grace)
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished, timeout=1)
