"""Parse and format durations as Prometheus does: ``30s``, ``1h30m``, ``500ms``.

The syntax is that of ``model.ParseDuration`` in Prometheus: whole numbers with units, each unit at
most once and in descending order. A day has 24 hours, a year 365 days. Only ``0`` needs no unit.
"""

import re

PATTERN = r"^(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?$"

_UNITS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_PART = re.compile(r"([0-9]+)([a-z]+)")
_WHOLE = re.compile(PATTERN)
_TEXT_MAX = 64
# Prometheus stores durations as 64-bit nanoseconds: at most about 292 years.
_MAX_MILLISECONDS = (2**63 - 1) // 1_000_000


def parse_duration(text: str) -> float:
    """Return the duration in seconds.

    Raises `ValueError` if ``text`` is not a duration or exceeds the maximum of Prometheus.
    """
    if text == "0":
        return 0.0
    if not text or len(text) > _TEXT_MAX or not _WHOLE.fullmatch(text):
        raise ValueError("not a duration")
    milliseconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if milliseconds > _MAX_MILLISECONDS:
        raise ValueError("duration out of range")
    return milliseconds / 1000


def format_duration(seconds: float) -> str:
    """Format ``seconds``, rounded to milliseconds, as Prometheus does.

    Years and weeks are used only without a remainder: ``8d``, not ``1w1d``.
    """
    remaining = round(seconds * 1000)
    if remaining == 0:
        return "0s"
    text = ""
    for unit, size in _UNITS.items():
        count, remainder = divmod(remaining, size)
        if count == 0 or (remainder and unit in {"y", "w"}):
            continue
        text += f"{count}{unit}"
        remaining = remainder
    return text
