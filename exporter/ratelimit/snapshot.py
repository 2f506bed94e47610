"""Save the state of an adaptive rate limit across a restart."""

import json
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite


@dataclass(frozen=True, slots=True)
class RateSnapshot:
    """State of an `AdaptiveRate` after its last 429. Rates are requests per second.

    Times are seconds of one clock, in JSON of the wall clock. ``lowered_at`` is when the rate was
    last lowered, ``low`` the rate since then, ``resume_at`` the end of the cool-down and
    ``cool_down`` its length. ``plateau`` and ``before`` are the plateaus after and before the 429.
    ``refused`` is the rate that got the 429, and ``refused_at`` its position from the plateau (0)
    to the ceiling (1).
    """

    lowered_at: float
    resume_at: float
    cool_down: float
    low: float
    plateau: float
    before: float
    refused: float
    refused_at: float

    def shifted(self, seconds: float) -> "RateSnapshot":
        """Return the snapshot with its times moved ``seconds`` later."""
        return replace(
            self, lowered_at=self.lowered_at + seconds, resume_at=self.resume_at + seconds
        )

    def to_json(self) -> str:
        """Return the snapshot as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RateSnapshot | None":
        """Parse the output of `to_json`; return None if ``text`` is not a valid snapshot."""
        try:
            values = json.loads(text)
            numbers = [float(values[field.name]) for field in fields(cls)]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        if not all(map(isfinite, numbers)):
            return None
        return cls(*numbers)
