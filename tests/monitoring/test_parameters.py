"""Durations in Prometheus notation, and compressed time."""

from dataclasses import fields

import pytest

from monitoring.durations import duration, in_words, seconds
from monitoring.parameters import Duration, Parameters


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0s", 0), ("250ms", 0.25), ("1s", 1), ("1s500ms", 1.5), ("1m", 60), ("1h30m", 5400),
        ("6h", 21600), ("3d", 259200), ("7d12h", 648000),
    ],
)  # fmt: skip
def test_durations_are_formatted_and_parsed(text: str, value: float) -> None:
    assert duration(value) == text
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(60, "minute"), (900, "15 minutes"), (3600, "hour"), (86400, "day"), (259200, "3 days"),
     (5400, "90 minutes"), (90, "1m30s"), (0, "0s")],
)  # fmt: skip
def test_durations_in_sentences(value: float, text: str) -> None:
    assert in_words(value) == text


def test_a_single_unit_may_have_a_number() -> None:
    assert in_words(3600, "one") == "one hour"
    assert in_words(7200, "one") == "2 hours"


@pytest.mark.parametrize("text", ["", "5", "m", "1.5h", "5m ", "-5m", "1m1h", "1w"])
def test_other_texts_are_not_durations(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        seconds(text)


def test_scale_1_changes_nothing() -> None:
    assert Parameters().compressed(1) == Parameters()


def test_only_durations_are_divided_by_the_scale() -> None:
    whole, short = Parameters(), Parameters().compressed(60)
    for each in fields(Parameters):
        before, after = getattr(whole, each.name), getattr(short, each.name)
        if Duration not in each.metadata:
            assert after == before, each.name
        elif each.name != "api_slow_seconds":
            assert after == pytest.approx(before / 60), each.name


@pytest.mark.parametrize("scale", [1, 60, 600, 1e6])
def test_compressed_durations_have_lower_limits(scale: float) -> None:
    short = Parameters().compressed(scale)
    assert short.scrape_interval >= 0.1
    assert short.rule_interval >= short.scrape_interval
    assert short.window_5m >= 4 * short.scrape_interval
    assert short.exporter_down_for >= 2 * short.scrape_interval
    assert short.probe_interval >= 1
    # The latency of the loopback interface must not count as slow.
    assert short.api_slow_seconds >= 0.25


@pytest.mark.parametrize("scale", [0, -1])
def test_scale_must_be_positive(scale: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Parameters().compressed(scale)
