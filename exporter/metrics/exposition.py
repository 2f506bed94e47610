"""Render the response of `/metrics` in chunks, so that none blocks the event loop for long."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from exporter.metrics import catalog
from exporter.metrics.negotiation import Format
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult
from exporter.state import StateStore

_END = b"# EOF\n"
_PIECE_BYTES = 64 * 1024

_OF_ONE_PROBE = (
    catalog.PROBE_SUCCESS,
    catalog.PROBE_OUTCOME,
    catalog.PROBE_DURATION,
    catalog.PROBE_STAGE_DURATION,
    catalog.PROBE_STATUS_CODE,
)


class Exposition:
    """Expose the per-server series and the metrics of the registry."""

    def __init__(self, series: ServerSeries, registry: CollectorRegistry) -> None:
        self._series = series
        self._registry = registry

    def chunks(self, form: Format, names: Collection[str] = ()) -> Iterator[bytes]:
        """Yield the whole text in chunks, each rendered in a few milliseconds at most.

        ``names`` selects families or samples by exact name; empty selects all.
        """
        selected = frozenset(names)
        for metric in self._registry.collect():
            if part := _restricted(metric, selected):
                yield _rendered(part, form)
        yield from self._series.chunks(form, selected)
        if form is Format.OPENMETRICS:
            yield _END

    async def pieces(self, form: Format, names: Collection[str] = ()) -> AsyncIterator[bytes]:
        """Yield the text, and let other tasks run after each chunk.

        Small chunks are joined into pieces of about 64 KiB.
        """
        gathered = bytearray()
        for chunk in self.chunks(form, names):
            await asyncio.sleep(0)
            if len(gathered) + len(chunk) < _PIECE_BYTES:
                gathered += chunk
                continue
            if gathered:
                yield bytes(gathered)
                gathered.clear()
            yield chunk
        if gathered:
            yield bytes(gathered)


def probe_text(result: ProbeResult, form: Format) -> bytes:
    """Render the metrics of a single probe, for `/probe`."""
    store, series = StateStore(history_length=1), ServerSeries()
    store.listen(series)
    store.reconcile([result.target])
    store.record(result)
    names = [metric.name for metric in _OF_ONE_PROBE]
    end = _END if form is Format.OPENMETRICS else b""
    return b"".join(series.chunks(form, names)) + end


class _OneFamily(Collector):
    """Collect a single family, so that prometheus-client renders one family at a time."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]


def _rendered(metric: Metric, form: Format) -> bytes:
    if form is Format.TEXT:
        return generate_latest(_OneFamily(metric))
    text: bytes = generate_openmetrics(_OneFamily(metric))  # type: ignore[no-untyped-call]
    return text.removesuffix(_END)


def _restricted(metric: Metric, names: Collection[str]) -> Metric | None:
    """Return the family with only the selected samples; None if there are none."""
    if not names or metric.name in names:
        return metric
    samples = [sample for sample in metric.samples if sample.name in names]
    if not samples:
        return None
    part = Metric(metric.name, metric.documentation, metric.type, metric.unit)
    part.samples = samples
    return part
