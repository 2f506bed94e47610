"""An HTTP response with its complete body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Parsing this many takes 15 ms and blocks the event loop; documented responses have a few dozen.
_VALUES_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response: ``body`` is decoded, ``seconds`` is the time on the wire.

    ``headers`` are case-insensitive; their ``items()`` repeat a header as often as it was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    _parsed_body: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def json(self) -> Any:  # noqa: ANN401 - the shape is the caller's to check
        """Return the parsed JSON body, cached; None when it is invalid or has too many values."""
        if not self._parsed_body:
            self._parsed_body.append(_parsed(self.body))
        return self._parsed_body[0]


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - JSON
    if sum(map(body.count, (b",", b"[", b"{"))) > _VALUES_MAX:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
