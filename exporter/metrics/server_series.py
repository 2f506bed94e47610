"""Render the per-server series when a result arrives, so that a scrape only joins bytes.

prometheus-client takes about 10 µs per series at each scrape and blocks the event loop meanwhile.
With 10,000 servers of about twelve series each, that is more than a second in which every running
probe looks slow. Sample lines are the same in both formats; only HELP and TYPE lines differ.
"""

from collections.abc import Callable, Collection, Iterator
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from exporter.metrics import catalog
from exporter.metrics.catalog import Metric
from exporter.metrics.negotiation import Format
from exporter.model import Target, TargetKey
from exporter.state import TargetState

# Joining the lines of this many servers takes well under a millisecond.
_SERVERS_AT_ONCE = 5000


class _Labels(NamedTuple):
    """The rendered labels of one target, without the closing brace.

    ``own`` are those of every series, ``info`` also has the attributes.
    """

    target: Target
    own: str
    info: str


class ServerSeries:
    """The rendered lines of every server, updated as a `StateListener`."""

    def __init__(self) -> None:
        self._labels: dict[TargetKey, _Labels] = {}
        self._lines: dict[TargetKey, tuple[bytes, ...]] = {}

    def on_change(self, state: TargetState) -> None:
        """Render the lines of a server."""
        key = state.target.key
        labels = self._labels.get(key)
        if labels is None or labels.target is not state.target:
            labels = self._labels[key] = _labels_of(state.target)
        self._lines[key] = tuple([render(state, labels) for render in _RENDERERS])

    def on_remove(self, key: TargetKey) -> None:
        """Remove the lines of a server."""
        del self._labels[key]
        del self._lines[key]

    def chunks(self, form: Format, names: Collection[str]) -> Iterator[bytes]:
        """Yield the text in small chunks; all show the state at the time of the first.

        ``names`` selects families or samples; empty selects all.
        """
        servers = tuple(self._lines.values())
        for column, metric in enumerate(catalog.PER_SERVER):
            bare = metric.name.removesuffix("_total")
            if names and metric.name not in names and bare not in names:
                continue
            family = bare if form is Format.OPENMETRICS else metric.name
            lines = map(itemgetter(column), servers[:_SERVERS_AT_ONCE])
            head = f"# HELP {family} {metric.help}\n# TYPE {family} {metric.kind}\n"
            yield b"".join(chain((head.encode(),), lines))
            for start in range(_SERVERS_AT_ONCE, len(servers), _SERVERS_AT_ONCE):
                part = servers[start : start + _SERVERS_AT_ONCE]
                yield b"".join(map(itemgetter(column), part))


def _labels_of(target: Target) -> _Labels:
    own = {
        "project": target.key.project,
        "server_id": target.key.server_id,
        "server": target.name,
    }
    attributes = {"region": target.region, "depth": target.depth}
    # A duplicate label would invalidate the whole scrape: the built-in labels win.
    free = {name: text for name, text in target.labels if name not in own | attributes}
    return _Labels(target, "{" + _pairs(own), "{" + _pairs(own | attributes | free))


def _pairs(labels: dict[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())


def _escaped(text: str) -> str:
    # UTF-8 cannot encode half a surrogate pair.
    valid = text.encode(errors="replace").decode()
    return valid.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


_Renderer = Callable[[TargetState, _Labels], bytes]


def _value(metric: Metric, read: Callable[[TargetState], float | None]) -> _Renderer:
    """Return a renderer of one sample per server, absent if ``read`` returns None."""
    name = metric.name

    def render(state: TargetState, labels: _Labels) -> bytes:
        value = read(state)
        if value is None:
            return b""
        return f"{name}{labels.own}}} {float(value)!r}\n".encode()

    return render


def _info(_: TargetState, labels: _Labels) -> bytes:
    return f"{catalog.SERVER_INFO.name}{labels.info}}} 1.0\n".encode()


def _outcome(state: TargetState, labels: _Labels) -> bytes:
    last = state.last
    if last is None:
        return b""
    name, stage = catalog.PROBE_OUTCOME.name, last.failed_stage or ""
    return f'{name}{labels.own},outcome="{last.outcome}",stage="{stage}"}} 1.0\n'.encode()


def _stage_durations(state: TargetState, labels: _Labels) -> bytes:
    if state.last_attempt is None:
        return b""
    name = catalog.PROBE_STAGE_DURATION.name
    return "".join(
        f'{name}{labels.own},stage="{timing.stage}"}} {timing.seconds!r}\n'
        for timing in state.last_attempt.stages
    ).encode()


def _duration(state: TargetState) -> float | None:
    # If no stage ran, 0 would look like a very fast probe.
    last = state.last_attempt
    return last.duration_seconds if last and last.stages else None


def _status_code(state: TargetState) -> float | None:
    return state.last_attempt.status_code if state.last_attempt else None


def _last_attempt(state: TargetState) -> float | None:
    return state.last_attempt.started_at if state.last_attempt else None


def _last_verdict(state: TargetState) -> float | None:
    return state.last_verdict.started_at if state.last_verdict else None


_RENDERER: dict[Metric, _Renderer] = {
    catalog.SERVER_INFO: _info,
    catalog.PROBE_OUTCOME: _outcome,
    catalog.PROBE_STAGE_DURATION: _stage_durations,
} | {
    metric: _value(metric, read)
    for metric, read in (
        (catalog.PROBE_SUCCESS, lambda state: state.success),
        (catalog.PROBE_DURATION, _duration),
        (catalog.PROBE_STATUS_CODE, _status_code),
        (catalog.PROBE_CONSECUTIVE_FAILURES, lambda state: state.consecutive_failures),
        (catalog.PROBE_LAST_ATTEMPT, _last_attempt),
        (catalog.PROBE_LAST_VERDICT, _last_verdict),
        (catalog.PROBE_LAST_SUCCESS, lambda state: state.last_success_at),
        (catalog.PROBE_VERDICTS, lambda state: state.verdicts),
        (catalog.PROBE_FAILURES, lambda state: state.failures),
        (catalog.PROBE_THROTTLED, lambda state: state.throttled),
    )
}
_RENDERERS = tuple(_RENDERER[metric] for metric in catalog.PER_SERVER)
