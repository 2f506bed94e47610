"""Register metrics of the catalog with prometheus-client."""

from collections.abc import Callable, Iterator

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


class PulledGauges(Collector):
    """Gauges that are read at each scrape and are absent while their value is unknown.

    A gauge with `Gauge.set_function` of prometheus-client cannot be absent.
    """

    def __init__(self, metrics: tuple[Metric, ...], registry: CollectorRegistry) -> None:
        self._readings: dict[Metric, dict[tuple[str, ...], Reading]] = {
            metric: {} for metric in metrics
        }
        registry.register(self)

    def pull(self, metric: Metric, reading: Reading, *labels: str) -> None:
        """Read the series with these label values from ``reading`` at each scrape."""
        self._readings[metric][labels] = reading

    def remove(self, *labels: str) -> None:
        """Remove the series with these label values from all metrics."""
        for readings in self._readings.values():
            readings.pop(labels, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families with the values that are known now."""
        for metric, readings in self._readings.items():
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, reading in readings.items():
                value = reading()
                if value is not None:
                    family.add_metric(labels, value)
            yield family
