"""Negotiate the exposition format and gzip compression with a scraper.

prometheus-client ignores quality values: it would send gzip to a client with ``gzip;q=0``.
"""

import re
from dataclasses import dataclass
from enum import Enum, unique

_QUALITY = re.compile(r"(?:0(?:\.\d{0,9})?|1(?:\.0{0,9})?)\Z")


@unique
class Format(Enum):
    """An exposition format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def content_type(self) -> str:
        """Return the value of the Content-Type header."""
        return self.value


@dataclass(frozen=True, slots=True)
class _Choice:
    """One element of an Accept or Accept-Encoding header."""

    name: str
    parameters: dict[str, str]
    quality: float


_MEDIA_TYPE = {Format.TEXT: "text/plain", Format.OPENMETRICS: "application/openmetrics-text"}
_VERSION = {Format.TEXT: "0.0.4", Format.OPENMETRICS: "1.0.0"}


def negotiate(accept: str | None) -> Format:
    """Choose the format that an Accept header prefers.

    The highest ``q`` wins, then the more specific media range, then the first one. Versions that
    are not supported are ignored. If nothing matches, or the header is malformed, the text format
    is used: it is more useful to a scraper than status 406.
    """
    choices = _choices(accept)
    return max(Format, key=lambda offer: _preference(choices, offer))


def gzip_accepted(accept_encoding: str | None) -> bool:
    """Return whether an Accept-Encoding header accepts gzip, and does not prefer identity."""
    quality = {choice.name: choice.quality for choice in _choices(accept_encoding)}
    gzip = quality.get("gzip", quality.get("x-gzip", quality.get("*", 0.0)))
    return gzip > 0 and gzip >= quality.get("identity", 0.0)


def _preference(choices: list[_Choice], offer: Format) -> tuple[float, int, int]:
    """Return the sort key of an offer: quality, specificity, position in the header."""
    matches = [
        (specificity, choice.quality, -place)
        for place, choice in enumerate(choices)
        if (specificity := _specificity(choice, offer))
    ]
    # The most specific range that matches decides, even if its quality is lower (RFC 9110).
    specificity, quality, place = max(matches, default=(0, 0.0, 0))
    return (quality, specificity, place) if quality > 0 else (0.0, 0, 0)


def _specificity(choice: _Choice, offer: Format) -> int:
    """Return how specifically a media range matches an offer: 0 (no match) to 4."""
    media_type = _MEDIA_TYPE[offer]
    if choice.name == "*/*":
        return 1
    if choice.name == media_type.partition("/")[0] + "/*":
        return 2
    if choice.name != media_type:
        return 0
    version = choice.parameters.get("version")
    if version is None:
        return 3
    return 4 if version == _VERSION[offer] else 0


def _choices(header: str | None) -> list[_Choice]:
    """Return the valid elements of a header, in order."""
    choices = []
    for element in (header or "").split(","):
        name, *pairs = (part.strip() for part in element.split(";"))
        parameters = {}
        for pair in pairs:
            key, _, text = pair.partition("=")
            parameters[key.strip().lower()] = text.strip().strip('"')
        quality = parameters.get("q", "1")
        if name and _QUALITY.match(quality):
            choices.append(_Choice(name.lower(), parameters, float(quality)))
    return choices
