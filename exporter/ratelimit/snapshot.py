"""What a throttle has learned of a quota, so that it need not be learned again after a restart."""

import json
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite


@dataclass(frozen=True, slots=True)
class RateSnapshot:
    """What the last refusals taught. Rates are requests a second, times seconds of one clock.

    ``lowered_at`` is when the pace was lowered last, ``resume_at`` the end of the cool-down after
    it, ``cool_down`` the length of that. The others are as in `AdaptiveRate`.
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
        """Return the same by a clock that is ``seconds`` ahead."""
        return replace(
            self, lowered_at=self.lowered_at + seconds, resume_at=self.resume_at + seconds
        )

    def to_json(self) -> str:
        """Return it as a line of text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RateSnapshot | None":
        """Return what `to_json` gave; None where it is none."""
        try:
            told = json.loads(text)
            figures = [float(told[field.name]) for field in fields(cls)]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        if not all(map(isfinite, figures)):
            return None
        return cls(*figures)
