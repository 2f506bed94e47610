"""Hold the state of every target: last results, counts and a short history.

A result updates these fields:

    every result        `last`, `history`
    a started probe     `last_attempt` (start, duration, stages, status code), `throttled`
    a conclusive one    `last_verdict`, `verdicts`, `failures`, `consecutive_failures`
    a success           `last_success_at`
    a new verdict       `verdict_since`

A skipped probe never started and has no start, duration, stages or status code; the values of the
last started probe stay.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from exporter.model import ProbeResult, Target, TargetKey
from exporter.outcome import Outcome, Verdict
from exporter.state.history import History


@dataclass(slots=True)
class TargetState:
    """The state of one target; None means not known yet. Only the `StateStore` changes it.

    Times are Unix time in seconds; ``verdict_since`` is when the current series of equal verdicts
    began. ``history`` has the newest result last. ``restored`` is the last result before a restart.
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

    def copy(self) -> "TargetState":
        """Return a copy that later results do not change."""
        return replace(self, history=self.history.copy())


class StateListener(Protocol):
    """Is called synchronously on each change of state; must not block the event loop."""

    def on_change(self, state: TargetState) -> None:
        """Handle a target that is new, has changed attributes, or has a new result."""

    def on_remove(self, key: TargetKey) -> None:
        """Handle the removal of a target."""


@dataclass(slots=True)
class StateStore:
    """The states of all targets, in the order in which they were added.

    ``history_length`` is the number of results per target; ``restore`` returns the saved state of
    a new target, if any. Counters are not restored: they start at 0, as counters in Prometheus do.
    """

    history_length: int
    restore: Callable[[Target], TargetState | None] = lambda _target: None
    _states: dict[TargetKey, TargetState] = field(default_factory=dict)
    _listeners: list[StateListener] = field(default_factory=list)

    def listen(self, listener: StateListener) -> None:
        """Add a listener, and call it for every target that exists already."""
        self._listeners.append(listener)
        for state in self._states.values():
            listener.on_change(state)

    def reconcile(self, targets: Iterable[Target]) -> None:
        """Replace the target set.

        Missing targets are removed, new ones start without a verdict, and those with changed
        attributes keep their counts and history.
        """
        wanted = {target.key: target for target in targets}
        self.change(wanted.values(), [key for key in self._states if key not in wanted])

    def change(self, put: Iterable[Target], gone: Iterable[TargetKey]) -> None:
        """Add or update the targets ``put`` and remove those ``gone``; all others stay."""
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
            self._notify(state)

    def record(self, result: ProbeResult) -> None:
        """Record a result; results of removed targets are dropped."""
        state = self._states.get(result.target.key)
        if state is None:
            return
        _apply(result, state)
        state.history.append(result, self.history_length)
        self._notify(state)

    def set_history_length(self, length: int) -> None:
        """Set the number of results per target; surplus old results are dropped."""
        if length == self.history_length:
            return
        self.history_length = length
        for state in self._states.values():
            state.history.shorten(length)

    def get(self, key: TargetKey) -> TargetState | None:
        """Return the state of a target, None if it is not in the target set."""
        return self._states.get(key)

    def __iter__(self) -> Iterator[TargetState]:
        return iter(self._states.values())

    def __len__(self) -> int:
        return len(self._states)

    def _new(self, target: Target) -> TargetState:
        state = self.restore(target)
        if state is None:
            return TargetState(target, History(target))
        state.history.shorten(self.history_length)
        return state

    def _notify(self, state: TargetState) -> None:
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
