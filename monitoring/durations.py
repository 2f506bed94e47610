"""Durations, written as Prometheus writes them."""

import re

_UNITS = (
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
)
_PATTERN = re.compile("".join(rf"(?:(\d+){unit})?" for unit, _ in _UNITS))


def duration(seconds: float) -> str:
    """Write seconds as Prometheus does: ``5m``, ``1h30m``, ``250ms``; to the millisecond."""
    left = round(seconds * 1000)
    text = ""
    for unit, milliseconds in _UNITS:
        count, left = divmod(left, milliseconds)
        if count:
            text += f"{count}{unit}"
    return text or "0s"


def seconds(text: str) -> float:
    """Read what `duration` writes; raises `ValueError` for anything else."""
    match = _PATTERN.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"expected a duration such as 30s, 5m, 1h30m, not {text!r}")
    parts = zip(match.groups(), _UNITS, strict=True)
    return sum(int(count or 0) * milliseconds for count, (_, milliseconds) in parts) / 1000
