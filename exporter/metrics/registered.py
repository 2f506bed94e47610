"""Register metrics of the catalog with prometheus-client."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.metrics.catalog import Metric

Reading = Callable[[], float | None]
"""Returns the current value at each scrape; None if it is unknown."""


def counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    """Register a counter."""
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    """Register a gauge whose value is set by the caller."""
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


def histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    """Register a histogram."""
    return Histogram(
        metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets
    )


def gauge_family(
    metric: Metric, values: Iterable[tuple[Sequence[str], float | None]]
) -> GaugeMetricFamily:
    """Return the samples of a gauge, given as label values and value; None is absent.

    A gauge with `Gauge.set_function` of prometheus-client cannot be absent.
    """
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        if value is not None:
            family.add_metric(labels, value)
    return family


class PulledGauges(Collector):
    """Gauges without labels that are read at each scrape, absent while their value is unknown."""

    def __init__(self, readings: dict[Metric, Reading], registry: CollectorRegistry) -> None:
        self._readings = readings
        registry.register(self)

    def pull(self, metric: Metric, reading: Reading) -> None:
        """Read a gauge from ``reading`` at each scrape."""
        self._readings[metric] = reading

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families with the values that are known now."""
        for metric, reading in self._readings.items():
            yield gauge_family(metric, [((), reading())])
