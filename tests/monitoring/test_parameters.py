"""Durations as Prometheus writes them, and time that is compressed."""

from dataclasses import fields

import pytest

from monitoring.durations import duration, seconds
from monitoring.parameters import Duration, Parameters


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0s", 0), ("250ms", 0.25), ("1s", 1), ("1s500ms", 1.5), ("1m", 60), ("1h30m", 5400),
        ("6h", 21600), ("3d", 259200), ("7d12h", 648000),
    ],
)  # fmt: skip
def test_durations_are_written_and_read_alike(text: str, value: float) -> None:
    assert duration(value) == text
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "m", "1.5h", "5m ", "-5m", "1m1h", "1w"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        seconds(text)


def test_time_at_its_own_pace_is_unchanged() -> None:
    assert Parameters().compressed(1) == Parameters()


def test_durations_shrink_by_the_scale_and_everything_else_stays() -> None:
    whole, short = Parameters(), Parameters().compressed(60)
    for each in fields(Parameters):
        before, after = getattr(whole, each.name), getattr(short, each.name)
        if Duration not in each.metadata:
            assert after == before, each.name
        elif each.name != "api_slow_seconds":
            assert after == pytest.approx(before / 60), each.name


@pytest.mark.parametrize("scale", [1, 60, 600, 1e6])
def test_nothing_becomes_too_short_to_work(scale: float) -> None:
    short = Parameters().compressed(scale)
    assert short.scrape_interval >= 0.1
    assert short.rule_interval >= short.scrape_interval
    assert short.window_5m >= 4 * short.scrape_interval
    assert short.exporter_down_for >= 2 * short.scrape_interval
    assert short.probe_interval >= 1
    # What a loopback answers in is not slow.
    assert short.api_slow_seconds >= 0.25


@pytest.mark.parametrize("scale", [0, -1])
def test_time_cannot_stand_still(scale: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Parameters().compressed(scale)
