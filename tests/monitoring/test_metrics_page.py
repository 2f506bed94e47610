"""docs/metrics.md equals the catalog."""

from pathlib import Path

from exporter.metrics.catalog import CATALOG
from exporter.model import Stage
from exporter.outcome import Outcome
from monitoring.metrics_page import CLOSED, metrics_page

COMMITTED = Path(__file__).parents[2] / "docs" / "metrics.md"


def row(first: str) -> list[str]:
    found = [line for line in metrics_page().splitlines() if line.startswith(f"| `{first}` |")]
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def test_committed_page_is_up_to_date() -> None:
    assert COMMITTED.read_text() == metrics_page(), "run `make generate`"


def test_every_metric_is_listed_with_type_labels_and_help() -> None:
    for metric in CATALOG:
        labels = " ".join(f"`{label}`" for label in metric.labels)
        assert row(metric.name) == [f"`{metric.name}`", metric.kind, labels, metric.help]


def test_exactly_the_labels_of_the_catalog_are_explained() -> None:
    section = metrics_page().partition("## Labels")[2].partition("## Buckets")[0]
    explained = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    assert explained == {label for metric in CATALOG for label in metric.labels}


def test_fixed_label_values_equal_those_of_the_exporter() -> None:
    assert list(CLOSED["outcome"]) == list(Outcome)
    assert list(CLOSED["stage"]) == list(CLOSED["depth"]) == list(Stage)


def test_every_histogram_is_listed_with_its_buckets() -> None:
    buckets = metrics_page().partition("## Buckets")[2]
    assert [line.split("`")[1] for line in buckets.splitlines() if line.startswith("| `")] == [
        metric.name for metric in CATALOG if metric.kind == "histogram"
    ]
    assert "0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30" in buckets
