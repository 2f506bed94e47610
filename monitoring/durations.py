"""Format and parse durations in the notation of Prometheus."""

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
    """Format seconds: ``5m``, ``1h30m``, ``250ms``; rounded to milliseconds."""
    left = round(seconds * 1000)
    text = ""
    for unit, milliseconds in _UNITS:
        count, left = divmod(left, milliseconds)
        if count:
            text += f"{count}{unit}"
    return text or "0s"


def in_words(seconds: float, one: str = "") -> str:
    """Format seconds for a sentence: ``hour``, ``3 days``; `duration` if it is not a whole unit.

    ``one`` is the word before a single unit.
    """
    for name, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count, rest = divmod(seconds, length)
        if count and not rest:
            return f"{one} {name}".strip() if count == 1 else f"{count:g} {name}s"
    return duration(seconds)


def seconds(text: str) -> float:
    """Parse what `duration` writes; raises `ValueError` for anything else."""
    match = _PATTERN.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"expected a duration such as 30s, 5m, 1h30m, not {text!r}")
    parts = zip(match.groups(), _UNITS, strict=True)
    return sum(int(count or 0) * milliseconds for count, (_, milliseconds) in parts) / 1000
