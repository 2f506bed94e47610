"""What is known of every target: the last results, the counts, a short history.

A result changes what it is evidence of, and nothing else:

    every result        `last`, `history`
    one that started    `last_attempt` (when, how long, which stages, which status), `throttled`
    a conclusive one    `last_verdict`, `verdicts`, `failures`, `consecutive_failures`
    a success           `last_success_at`
    another verdict     `verdict_since`

A skipped probe never started, so it has no start, duration, stages or status of its own: those
stay as the last probe that did start left them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from exporter.model import ProbeResult, Target, TargetKey
from exporter.outcome import Outcome, Verdict
from exporter.state.history import History
from exporter.state.target_snapshot import TargetSnapshot


@dataclass(slots=True)
class TargetState:
    """All that is known of one target; None where nothing is known yet.

    Only the `StateStore` changes it. ``last_success_at`` is Unix time in seconds, as is
    ``verdict_since``, when the first verdict of the present row of equal ones was given;
    ``history`` holds the newest result last. ``restored`` is the last result when it is one from
    before the program was started.
    """

    target: Target
    history: History
    last: ProbeResult | None = None
    last_attempt: ProbeResult | None = None
    last_verdict: ProbeResult | None = None
    last_success_at: float | None = None
    consecutive_failures: int = 0
    verdicts: int = 0
    failures: int = 0
    throttled: int = 0
    verdict_since: float | None = None
    restored: ProbeResult | None = None

    @property
    def success(self) -> bool | None:
        """Return whether the last conclusive probe succeeded; None before the first."""
        if self.last_verdict is None:
            return None
        return self.last_verdict.verdict is Verdict.SUCCESS

    def snapshot(self) -> TargetSnapshot | None:
        """Return what to remember across a restart; None while nothing is known."""
        if self.last is None:
            return None
        return TargetSnapshot(
            last=self.last,
            last_attempt=self.last_attempt,
            last_verdict=self.last_verdict,
            last_success_at=self.last_success_at,
            consecutive_failures=self.consecutive_failures,
            verdict_since=self.verdict_since,
            history=self.history.copy(),
        )


class StateListener(Protocol):
    """Who wants to know at once when state changes; called in the event loop, so be quick."""

    def on_change(self, state: TargetState) -> None:
        """Note that a target is new, has other attributes, or has a new result."""

    def on_remove(self, key: TargetKey) -> None:
        """Note that a target is gone."""


@dataclass(slots=True)
class StateStore:
    """The state of the current target set, in the order in which targets came.

    ``history_length`` is the number of results kept per target; ``restore`` tells what was known
    of a new target before a restart, if anything. Counters begin anew, as counters do.
    """

    history_length: int
    restore: Callable[[Target], TargetSnapshot | None] = lambda _target: None
    _states: dict[TargetKey, TargetState] = field(default_factory=dict)
    _listeners: list[StateListener] = field(default_factory=list)

    def listen(self, listener: StateListener) -> None:
        """Tell a listener of every change from now on, and of every target there is now."""
        self._listeners.append(listener)
        for state in self._states.values():
            listener.on_change(state)

    def reconcile(self, targets: Iterable[Target]) -> None:
        """Make the target set equal ``targets``.

        Targets that are no longer in it vanish, new ones appear with no verdict, and those whose
        attributes changed keep their counts and history.
        """
        wanted = {target.key: target for target in targets}
        self.change(wanted.values(), [key for key in self._states if key not in wanted])

    def change(self, put: Iterable[Target], gone: Iterable[TargetKey]) -> None:
        """Do the same for a part of the target set: what is new or different, and what is gone."""
        for key in gone:
            if self._states.pop(key, None) is not None:
                for listener in self._listeners:
                    listener.on_remove(key)
        for target in put:
            state = self._states.get(target.key)
            if state is None:
                state = self._states[target.key] = self._new(target)
            elif state.target is target or state.target == target:
                continue
            state.target = state.history.target = target
            self._tell(state)

    def record(self, result: ProbeResult) -> None:
        """Take in a result; one of a target that has been removed meanwhile is dropped."""
        state = self._states.get(result.target.key)
        if state is None:
            return
        _apply(result, state)
        state.history.append(result, self.history_length)
        self._tell(state)

    def keep_history(self, length: int) -> None:
        """Keep ``length`` results per target from now on, the newest of those there are."""
        if length == self.history_length:
            return
        self.history_length = length
        for state in self._states.values():
            state.history.shorten(length)

    def get(self, key: TargetKey) -> TargetState | None:
        """Return the state of a target, None when it is not in the target set."""
        return self._states.get(key)

    def __iter__(self) -> Iterator[TargetState]:
        return iter(self._states.values())

    def __len__(self) -> int:
        return len(self._states)

    def _new(self, target: Target) -> TargetState:
        snapshot = self.restore(target)
        if snapshot is None:
            return TargetState(target, History(target))
        snapshot.history.shorten(self.history_length)
        return TargetState(
            target,
            snapshot.history,
            last=snapshot.last,
            last_attempt=snapshot.last_attempt,
            last_verdict=snapshot.last_verdict,
            last_success_at=snapshot.last_success_at,
            consecutive_failures=snapshot.consecutive_failures,
            verdict_since=snapshot.verdict_since,
            restored=snapshot.last,
        )

    def _tell(self, state: TargetState) -> None:
        for listener in self._listeners:
            listener.on_change(state)


def _apply(result: ProbeResult, state: TargetState) -> None:
    state.last = result
    if result.outcome is Outcome.SKIPPED:
        return
    state.last_attempt = result
    if result.outcome is Outcome.THROTTLED:
        state.throttled += 1
    verdict = result.verdict
    if verdict is Verdict.INCONCLUSIVE:
        return
    if state.success is not (verdict is Verdict.SUCCESS):
        state.verdict_since = result.started_at
    state.last_verdict = result
    state.verdicts += 1
    if verdict is Verdict.SUCCESS:
        state.last_success_at = result.started_at
        state.consecutive_failures = 0
        return
    state.failures += 1
    state.consecutive_failures += 1
