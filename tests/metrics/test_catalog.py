"""The catalog names each metric once, and well."""

import re

import pytest

from exporter.metrics import catalog
from exporter.metrics.catalog import CATALOG, Kind, Metric, Scope


def test_every_metric_is_named_once() -> None:
    names = [metric.name for metric in CATALOG]
    assert len(names) == len(set(names))


def test_every_metric_that_is_defined_is_listed() -> None:
    defined = [value for value in vars(catalog).values() if isinstance(value, Metric)]
    assert defined == list(CATALOG)


@pytest.mark.parametrize("metric", CATALOG, ids=lambda metric: metric.name)
class TestEveryMetric:
    def test_has_a_name_of_the_house_and_of_its_kind(self, metric: Metric) -> None:
        assert re.fullmatch(r"console_[a-z_]+[a-z]", metric.name)
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)

    def test_has_help_that_needs_no_escape(self, metric: Metric) -> None:
        assert re.fullmatch(r"[A-Z][^\"\\\n]+\.", metric.help)

    def test_has_ascending_buckets_if_it_is_a_histogram(self, metric: Metric) -> None:
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))

    def test_has_the_labels_of_its_scope_first(self, metric: Metric) -> None:
        first = {
            Scope.SERVER: ("project", "server_id", "server"),
            Scope.PROJECT: ("project",),
            Scope.EXPORTER: (),
        }[metric.scope]
        assert metric.labels[: len(first)] == first
        assert len(metric.labels) == len(set(metric.labels))
