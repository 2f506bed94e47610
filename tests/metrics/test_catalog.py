"""Metrics of the catalog have unique names, plain help texts and consistent labels."""

import re

import pytest

from exporter.metrics import catalog
from exporter.metrics.catalog import CATALOG, Kind, Metric, Scope


def test_metric_names_are_unique() -> None:
    names = [metric.name for metric in CATALOG]
    assert len(names) == len(set(names))


def test_every_defined_metric_is_listed() -> None:
    defined = [value for value in vars(catalog).values() if isinstance(value, Metric)]
    assert defined == list(CATALOG)


@pytest.mark.parametrize("metric", CATALOG, ids=lambda metric: metric.name)
class TestEveryMetric:
    def test_name_has_the_console_prefix_and_the_suffix_of_its_kind(self, metric: Metric) -> None:
        assert re.fullmatch(r"console_[a-z_]+[a-z]", metric.name)
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)

    def test_help_text_needs_no_escaping(self, metric: Metric) -> None:
        assert re.fullmatch(r"[A-Z][^\"\\\n]+\.", metric.help)

    def test_only_histograms_have_buckets_in_ascending_order(self, metric: Metric) -> None:
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))

    def test_labels_of_the_scope_come_first(self, metric: Metric) -> None:
        first = {
            Scope.SERVER: ("project", "server_id", "server"),
            Scope.PROJECT: ("project",),
            Scope.EXPORTER: (),
        }[metric.scope]
        assert metric.labels[: len(first)] == first
        assert len(metric.labels) == len(set(metric.labels))
