"""An HTTP response, read whole and bounded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Reading so many takes 15 ms, in which nobody else gets on; what is documented has a few dozen.
_VALUES_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer: ``body`` is decoded and bounded, ``seconds`` is the time on the wire.

    ``headers`` are asked for in any case; ``items()`` has each as often as it was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    _read: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def json(self) -> Any:  # noqa: ANN401 - the shape is the caller's to check
        """Return the body as JSON, or None when it is none or too intricate; it is parsed once."""
        if not self._read:
            self._read.append(_parsed(self.body))
        return self._read[0]


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - JSON
    if sum(map(body.count, (b",", b"[", b"{"))) > _VALUES_MAX:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
