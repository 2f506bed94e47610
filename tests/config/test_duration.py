"""Durations are parsed and formatted as in Prometheus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.duration import format_duration, parse_duration

DAY = 86_400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", DAY),
        ("500ms", 0.5),
        ("1y2w3d4h5m6s7ms", 365 * DAY + 17 * DAY + 4 * 3600 + 306.007),
        ("90m", 5400),
        ("007s", 7),
        ("1h0m", 3600),
    ],
)
def test_parses_durations_that_prometheus_accepts(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "60", "1.5h", "-1s", "+1s", " 1s", "1s ", "1s\n", "1 s", "s", "1S", "1H"),
        *("1m1h", "1ms1s", "1s1s", "1us", "1µs", "1w1y", "00", "٣s", "inf", "1e3s"),
        *("293y", "9223372036855ms", "9" * 70 + "ms"),
    ],
)
def test_rejects_durations_that_prometheus_rejects(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.5, "500ms"),
        (90, "1m30s"),
        (DAY, "1d"),
        (7 * DAY, "1w"),
        (8 * DAY, "8d"),
        (365 * DAY, "1y"),
        (366 * DAY, "366d"),
        (1.5, "1s500ms"),
    ],
)
def test_formats_durations_as_prometheus_does(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 292 * 365 * DAY * 1000))
def test_formatted_duration_parses_to_the_same_value(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.text(st.sampled_from("0123456789ywdhms"), max_size=12))
def test_text_is_rejected_or_keeps_its_value_when_formatted(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert parse_duration(format_duration(seconds)) == seconds
