"""How a metric of the catalog becomes one of prometheus-client's."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter.metrics.catalog import Metric

Reading = Callable[[], float | None]
"""Reads a value when a scrape asks for it; None where it is not known."""


def counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    """Register a counter."""
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    """Register a gauge that is set when its value changes."""
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


def histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    """Register a histogram."""
    return Histogram(
        metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets
    )


class PulledGauges(Collector):
    """Gauges that are read when a scrape asks, and are absent where there is no value.

    prometheus-client's own `Gauge.set_function` cannot be absent.
    """

    def __init__(self, metrics: tuple[Metric, ...], registry: CollectorRegistry) -> None:
        """Register ``metrics``, none of them with a value yet."""
        self._readings: dict[Metric, dict[tuple[str, ...], Reading]] = {
            metric: {} for metric in metrics
        }
        registry.register(self)

    def pull(self, metric: Metric, reading: Reading, *labels: str) -> None:
        """Read the series with these label values by ``reading`` from now on."""
        self._readings[metric][labels] = reading

    def remove(self, *labels: str) -> None:
        """Drop the series with these label values from all metrics."""
        for readings in self._readings.values():
            readings.pop(labels, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families with what is known now."""
        for metric, readings in self._readings.items():
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, reading in readings.items():
                value = reading()
                if value is not None:
                    family.add_metric(labels, value)
            yield family
